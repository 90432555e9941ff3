{{/*
What the program would refuse of its settings, as a list in YAML; helm does before anything is installed.
*/}}
{{- define "buildkitd-stack.checks.settings" -}}
{{- $problems := list -}}
{{- $rows := fromYaml (include "buildkitd-stack.settingRows" .) -}}
{{- range $key, $value := .Values.autoscaler.autoscalerConfig -}}
{{- $row := index $rows $key -}}
{{- if and $row.min (not (kindIs "invalid" $value)) -}}
{{- $time := include "buildkitd-stack.nanoseconds" $value | int64 -}}
{{- if or (lt $time (include "buildkitd-stack.nanoseconds" $row.min | int64)) (gt $time (include "buildkitd-stack.nanoseconds" $row.max | int64)) -}}
{{- $problems = append $problems (printf "autoscaler.autoscalerConfig.%s is %q: want a duration from %s to %s" $key $value $row.min $row.max) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $lease := .Values.autoscaler.autoscalerConfig.leaseDuration | default "15s" -}}
{{- $renew := .Values.autoscaler.autoscalerConfig.renewDeadline | default "10s" -}}
{{- $retry := .Values.autoscaler.autoscalerConfig.retryPeriod | default "2s" -}}
{{- if ge (include "buildkitd-stack.nanoseconds" $renew | int64) (include "buildkitd-stack.nanoseconds" $lease | int64) -}}
{{- $problems = append $problems (printf "autoscaler.autoscalerConfig.renewDeadline is %q, and leaseDuration is %q: want the second longer than the first" $renew $lease) -}}
{{- end -}}
{{- if ge (mul 12 (include "buildkitd-stack.nanoseconds" $retry | int64)) (mul 10 (include "buildkitd-stack.nanoseconds" $renew | int64)) -}}
{{- $problems = append $problems (printf "autoscaler.autoscalerConfig.retryPeriod is %q, and renewDeadline is %q: want the second longer than 1.2 times the first" $retry $renew) -}}
{{- end -}}
{{- $variables := fromYaml (include "buildkitd-stack.flagVariables" .) -}}
{{- range $argument := .Values.autoscaler.extraArgs -}}
{{- $flag := regexFind "^--[^=]+" $argument -}}
{{- range $key, $row := $rows -}}
{{- if and (eq $flag $row.flag) (not (kindIs "invalid" (index $.Values.autoscaler.autoscalerConfig $key))) -}}
{{- $problems = append $problems (printf "autoscaler.extraArgs has %q, which the variable of autoscaler.autoscalerConfig.%s overrides: set that value instead" $argument $key) -}}
{{- end -}}
{{- end -}}
{{- range $.Values.autoscaler.extraEnv -}}
{{- if and (eq .name (index $variables $flag | default "")) (or .valueFrom .value) -}}
{{- $problems = append $problems (printf "autoscaler.extraArgs has %q, which the variable %s of autoscaler.extraEnv overrides: want only one of them" $argument .name) -}}
{{- end -}}
{{- end -}}
{{- if has $flag (list "--sts-name" "--sts-namespace" "--headless-service-name" "--target-port" "--builders" "--listeners" "--cordoned" "--max-replicas") -}}
{{- $problems = append $problems (printf "autoscaler.extraArgs has %q, which the chart sets itself, by a variable that overrides it: leave it out" $argument) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

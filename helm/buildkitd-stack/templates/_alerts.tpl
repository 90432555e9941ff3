{{/*
The alerts, for the targets that the ServiceMonitor or PodMonitor of this release makes: what they are about, for the rules
of _alert_rules.tpl.
*/}}
{{- define "buildkitd-stack.alerts" -}}
{{- $namespace := include "buildkitd-stack.autoscaler.namespace" . -}}
{{- $name := include "buildkitd-stack.autoscaler.fullname" . -}}
{{- /* The Prometheus operator names jobs after the Service, or after the PodMonitor with its namespace. */ -}}
{{- $job := printf "%s-metrics" $name -}}
{{- if .Values.autoscaler.metrics.podMonitor.enabled }}{{ $job = printf "%s/%s" (.Values.autoscaler.metrics.podMonitor.namespace | default $namespace) $name }}{{ end -}}
{{- $statefulSets := fromYamlArray (include "buildkitd-stack.target.statefulSets" .) -}}
{{- $several := gt (len $statefulSets) 1 -}}
{{- $config := .Values.autoscaler.autoscalerConfig -}}
{{- $idle := include "buildkitd-stack.seconds" ($config.scaleDownIdleTimeout | default "2m0s") | int64 -}}
{{- range .Values.pools -}}
{{- with (. | default dict).idleTimeout }}{{ $idle = max $idle (include "buildkitd-stack.seconds" . | int64) }}{{ end -}}
{{- end -}}
{{- $site := dict "targets" (printf "namespace=%q,job=%q" $namespace $job) "namespace" $namespace "job" $job -}}
{{- $_ := set $site "cordoned" (.Values.buildkitd.cordoned | default list | join "|") -}}
{{- $_ := set $site "minReplicas" (ternary 0 ($config.minReplicas | int64) $several) -}}
{{- $_ := set $site "idleFor" (printf "%dm" (add (div (add $idle 59) 60) 15 | max 30)) -}}
{{- /* The last end of a bucket within half of what clients wait for; not 600, over which no quantile gets. */ -}}
{{- $half := div (include "buildkitd-stack.seconds" ($config.readyWaitTimeout | default "5m0s") | int64) 2 -}}
{{- range list 1 5 10 20 30 60 120 240 300 -}}
{{- if or (eq . 1) (le (int64 .) $half) }}{{ $_ := set $site "slowSeconds" . }}{{ end -}}
{{- end -}}
{{- $_ := set $site "maxHeld" ($config.maxHeld | default 1000 | int64) -}}
{{- $_ := set $site "address" (include "buildkitd-stack.address" .) -}}
{{- $_ := set $site "builders" (printf "%s %s in namespace %s" (ternary "the StatefulSets" "StatefulSet" $several) ($statefulSets | join ", ") (include "buildkitd-stack.target.namespace" .)) -}}
{{- /* With one builder, its minimum is a part of the condition. */ -}}
{{- $_ := set $site "kept" (ternary (include "buildkitd-stack.keepsBuilders" .) ($config.warm | default "") $several) -}}
{{- include "buildkitd-stack.alertRules" $site -}}
{{- end -}}

{{/* "true" if a minimum or a warm window is set; else empty. */}}
{{- define "buildkitd-stack.keepsBuilders" -}}
{{- $keeps := false -}}
{{- range prepend (values (.Values.pools | default dict)) .Values.autoscaler.autoscalerConfig -}}
{{- with . }}{{ if or .warm (gt (int .minReplicas) 0) }}{{ $keeps = true }}{{ end }}{{ end -}}
{{- end -}}
{{- ternary "true" "" $keeps -}}
{{- end -}}

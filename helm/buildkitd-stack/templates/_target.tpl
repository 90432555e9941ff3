{{/*
What the autoscaler scales: the StatefulSet of this chart, or one that exists already, which autoscaler.target names.
*/}}
{{- define "buildkitd-stack.target.statefulSet" -}}
{{- .Values.buildkitd.enabled | ternary (include "buildkitd-stack.buildkitd.fullname" .) .Values.autoscaler.target.statefulSet -}}
{{- end -}}

{{- define "buildkitd-stack.target.headlessService" -}}
{{- .Values.buildkitd.enabled | ternary (include "buildkitd-stack.buildkitd.headless" .) .Values.autoscaler.target.headlessService -}}
{{- end -}}

{{- define "buildkitd-stack.target.port" -}}
{{- .Values.buildkitd.enabled | ternary .Values.buildkitd.service.port .Values.autoscaler.target.port | int64 -}}
{{- end -}}

{{- define "buildkitd-stack.target.namespace" -}}
{{- .Values.autoscaler.target.namespace | default (include "buildkitd-stack.namespace" .) -}}
{{- end -}}

{{/* What the values say too much or too little of the target, as a list in YAML. */}}
{{- define "buildkitd-stack.checks.target" -}}
{{- $problems := list -}}
{{- range $key := list "statefulSet" "headlessService" "namespace" -}}
{{- $value := index $.Values.autoscaler.target $key -}}
{{- if and $.Values.buildkitd.enabled $value -}}
{{- $problems = append $problems (printf "autoscaler.target.%s is given, and buildkitd.enabled is true: the autoscaler scales the StatefulSet of this chart. Want buildkitd.enabled false, or leave autoscaler.target out" $key) -}}
{{- else if not (or $.Values.buildkitd.enabled $value (eq $key "namespace")) -}}
{{- $problems = append $problems (printf "autoscaler.target.%s is empty, and buildkitd.enabled is false: name what the autoscaler is to scale, by autoscaler.target.statefulSet, autoscaler.target.headlessService and autoscaler.target.port" $key) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/*
What is wrong with the target in the cluster, each on a line, for the notes after an install. Where helm renders without a
cluster even the list of StatefulSets is empty, and nothing is said.
*/}}
{{- define "buildkitd-stack.target.warnings" -}}
{{- $namespace := include "buildkitd-stack.target.namespace" . -}}
{{- $name := .Values.autoscaler.target.statefulSet -}}
{{- $set := lookup "apps/v1" "StatefulSet" $namespace $name -}}
{{- if $set -}}
{{- include "buildkitd-stack.target.setWarnings" (dict "root" . "set" $set) -}}
{{- else if lookup "apps/v1" "StatefulSet" $namespace "" }}
StatefulSet {{ $name }} does not exist in namespace {{ $namespace }}: the autoscaler is unready until it does. Correct autoscaler.target.statefulSet or autoscaler.target.namespace.
{{- end }}
{{- end -}}

{{- define "buildkitd-stack.target.setWarnings" -}}
{{- $namespace := include "buildkitd-stack.target.namespace" .root -}}
{{- $name := .set.metadata.name -}}
{{- $port := include "buildkitd-stack.target.port" .root | int64 -}}
{{- $wanted := .root.Values.autoscaler.target.headlessService -}}
{{- $service := lookup "v1" "Service" $namespace $wanted -}}
{{- if not $service }}
Service {{ $wanted }} does not exist in namespace {{ $namespace }}: the autoscaler is unready until it does. {{ if and .set.spec.serviceName (ne .set.spec.serviceName $wanted) }}The Service of StatefulSet {{ $name }} is {{ .set.spec.serviceName }}: correct{{ else }}Create it, with a selector for the pods of StatefulSet {{ $name }} and clusterIP None, or correct{{ end }} autoscaler.target.headlessService.
{{- else }}
{{- $labels := .set.spec.template.metadata.labels | default dict -}}
{{- $selector := $service.spec.selector | default dict -}}
{{- if or (empty $selector) (ne (toJson (mergeOverwrite (dict) $labels $selector)) (toJson $labels)) }}
Service {{ $wanted }} does not select the pods of StatefulSet {{ $name }}: the autoscaler finds no pod. Its selector is {{ toJson $selector }}, and the pods have the labels {{ toJson $labels }}. Correct autoscaler.target.headlessService, or the selector.
{{- end }}
{{- end }}
{{- $declared := list -}}
{{- range .set.spec.template.spec.containers }}{{ range .ports }}{{ $declared = append $declared (int64 .containerPort) }}{{ end }}{{ end -}}
{{- if and $declared (not (has $port $declared)) }}
The containers of StatefulSet {{ $name }} declare the ports {{ join ", " $declared }}, and autoscaler.target.port is {{ $port }}. Correct it, unless buildkitd listens there.
{{- end }}
{{- if gt (int .set.spec.replicas) 1 }}
StatefulSet {{ $name }} has {{ int .set.spec.replicas }} replicas: the autoscaler uses pod {{ $name }}-0 alone, and scales the others down.
{{- end }}
{{- if and .root.Release.IsInstall (gt (int .set.spec.replicas) 0) (eq (int .root.Values.autoscaler.autoscalerConfig.minReplicas) 0) }}
StatefulSet {{ $name }} runs, and the autoscaler does not see clients that connect to its pods directly: it scales down when no client has been connected through it for {{ .root.Values.autoscaler.autoscalerConfig.scaleDownIdleTimeout | default "2m0s" }}. Upgrade with autoscaler.autoscalerConfig.minReplicas 1 until all clients use the new address.
{{- end }}
{{- end -}}

{{/*
Listeners of pools and projects, each with a Service of its own: whoever connects there is of that pool or project, whatever name
his client sends.
*/}}

{{/*
All of them, as a list in YAML: `.service`, `.target` as the program writes it, the number `.port` in the pod, and its `.portName`.
Services and policies know a port by its name, which follows from the pool or project alone. So a listener that is added may move
the numbers of others: each pod resolves the names by itself.
*/}}
{{- define "buildkitd-stack.listeners" -}}
{{- $listeners := list -}}
{{- range $index, $pool := keys (.Values.pools | default dict) | sortAlpha -}}
{{- $service := printf "%s-%s" (include "buildkitd-stack.autoscaler.fullname" $) $pool -}}
{{- $listeners = append $listeners (dict "service" $service "target" (printf "pool %s" $pool) "pool" $pool "port" (add 8301 $index) "portName" (printf "pool-%s" (sha256sum $pool | trunc 7))) -}}
{{- end -}}
{{- range $index, $project := fromYamlArray (include "buildkitd-stack.projects" .) -}}
{{- $target := printf "project %s%s" .name (ternary (printf "@%s" .pool) "" (ne .pool "")) -}}
{{- $listeners = append $listeners (dict "service" .name "target" $target "project" .name "pool" .pool "port" (add 8401 $index) "portName" (printf "project-%s" (sha256sum .name | trunc 7))) -}}
{{- end -}}
{{- toYaml $listeners -}}
{{- end -}}

{{/* The projects, as a list in YAML of `.name` and `.pool` (empty: the default pool). */}}
{{- define "buildkitd-stack.projects" -}}
{{- $projects := list -}}
{{- range .Values.projects -}}
{{- $project := kindIs "string" . | ternary (dict "name" .) . -}}
{{- $projects = append $projects (dict "name" $project.name "pool" ($project.pool | default "")) -}}
{{- end -}}
{{- toYaml $projects -}}
{{- end -}}

{{/* The program's text: "pool arm64=:8301, project team-a=:8401". */}}
{{- define "buildkitd-stack.listeners.text" -}}
{{- $entries := list -}}
{{- range fromYamlArray (include "buildkitd-stack.listeners" .) }}{{ $entries = append $entries (printf "%s=:%d" .target (int .port)) }}{{ end -}}
{{- join ", " $entries -}}
{{- end -}}

{{/* Where clients find it. */}}
{{- define "buildkitd-stack.listeners.address" -}}
{{- printf "tcp://%s.%s.svc:%d" .listener.service (include "buildkitd-stack.autoscaler.namespace" .root) (int .root.Values.autoscaler.service.port) -}}
{{- end -}}

{{/*
Images that no registry could serve: the pod would wait with InvalidImageName.
*/}}

{{/* What is wrong with `.repository`, the value of `.part`; empty if nothing is. */}}
{{- define "buildkitd-stack.checks.repository" -}}
{{- if not .repository -}}
{{- printf "%s.image.repository is empty: name the image" .part -}}
{{- else if hasPrefix "/" .repository -}}
{{- printf "%s.image.repository is %q, and the name of the registry before the slash is missing: is a variable of the shell, such as REGISTRY, not set?" .part .repository -}}
{{- else if regexMatch "[:@][^/]*$" .repository -}}
{{- printf "%s.image.repository is %q: want the name alone, and the rest in %s.image.tag or %s.image.digest" .part .repository .part .part -}}
{{- end -}}
{{- end -}}

{{/* That of the autoscaler, as a list in YAML; a pool's is checked with its other values. */}}
{{- define "buildkitd-stack.checks.image" -}}
{{- $problems := list -}}
{{- with include "buildkitd-stack.checks.repository" (dict "part" "autoscaler" "repository" .Values.autoscaler.image.repository) }}{{ $problems = append $problems . }}{{ end -}}
{{- toYaml $problems -}}
{{- end -}}

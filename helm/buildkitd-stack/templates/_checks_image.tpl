{{/*
Images that no registry could serve, as a list in YAML: the pod would wait with InvalidImageName.
*/}}
{{- define "buildkitd-stack.checks.image" -}}
{{- $problems := list -}}
{{- range $part, $repository := dict "autoscaler" .Values.autoscaler.image.repository "buildkitd" .Values.buildkitd.image.repository -}}
{{- if not $repository -}}
{{- $problems = append $problems (printf "%s.image.repository is empty: name the image" $part) -}}
{{- else if hasPrefix "/" $repository -}}
{{- $problems = append $problems (printf "%s.image.repository is %q, and the name of the registry before the slash is missing: is a variable of the shell, such as REGISTRY, not set?" $part $repository) -}}
{{- else if regexMatch "[:@][^/]*$" $repository -}}
{{- $problems = append $problems (printf "%s.image.repository is %q: want the name alone, and the rest in %s.image.tag or %s.image.digest" $part $repository $part $part) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

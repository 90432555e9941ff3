{{/*
TLS between clients and buildkitd, which passes through the autoscaler. It is seen in the values alone: what a mounted file or a
variable of buildkitd.extraEnvFrom says is not known here.
*/}}

{{/* The value by which buildkitd has a certificate, and so speaks nothing but TLS; empty where none says so. */}}
{{- define "buildkitd-stack.buildkitd.tls" -}}
{{- $found := list -}}
{{- range .Values.buildkitd.extraArgs -}}
{{- if regexMatch `^--?tlscert(=|$)` . }}{{ $found = append $found "buildkitd.extraArgs" }}{{ end -}}
{{- end -}}
{{- if regexMatch `(?m)^\s*(\[\s*)?(grpc\s*\.\s*)?tls\s*(\]|\.|=)` .Values.buildkitd.config -}}
{{- $found = append $found "buildkitd.config" -}}
{{- end -}}
{{- if include "buildkitd-stack.buildkitd.tlsVariable" . }}{{ $found = append $found "buildkitd.extraEnvVars" }}{{ end -}}
{{- first $found | default "" -}}
{{- end -}}

{{/* "true" where the preset's image is told by a variable to use the certificates at its usual paths; else empty. */}}
{{- define "buildkitd-stack.buildkitd.tlsVariable" -}}
{{- $variable := (fromYaml (include "buildkitd-stack.preset" .)).tlsVariable -}}
{{- range .Values.buildkitd.extraEnvVars -}}
{{- if and (eq .name ($variable | default "")) (eq (toString .value) "true") }}true{{ end -}}
{{- end -}}
{{- end -}}

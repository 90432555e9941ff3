{{/*
TLS between clients and buildkitd, which passes through the autoscaler. It is seen in the values alone: what a mounted file or a
variable of buildkitd.extraEnvFrom says is not known here.
*/}}

{{/* The value by which buildkitd has a certificate, and so speaks nothing but TLS; empty where none says so. */}}
{{- define "buildkitd-stack.buildkitd.tls" -}}
{{- $found := list -}}
{{- if .Values.buildkitd.enabled -}}
{{- range .Values.buildkitd.extraArgs -}}
{{- if regexMatch `^--?tlscert(=|$)` . }}{{ $found = append $found "buildkitd.extraArgs" }}{{ end -}}
{{- end -}}
{{- if regexMatch `(?m)^\s*(\[\s*)?(grpc\s*\.\s*)?tls\s*(\]|\.|=)` .Values.buildkitd.config -}}
{{- $found = append $found "buildkitd.config" -}}
{{- end -}}
{{- if include "buildkitd-stack.buildkitd.tlsVariable" . }}{{ $found = append $found "buildkitd.extraEnvVars" }}{{ end -}}
{{- end -}}
{{- first $found | default "" -}}
{{- end -}}

{{/* "true" where buildkitd lets only clients in that have a certificate; else empty. */}}
{{- define "buildkitd-stack.buildkitd.clientCertificates" -}}
{{- $wanted := or (include "buildkitd-stack.buildkitd.tlsVariable" .) (regexMatch `(?m)^[^#\n]*\bca\s*=\s*["']` .Values.buildkitd.config) -}}
{{- range .Values.buildkitd.extraArgs }}{{ $wanted = or $wanted (regexMatch `^--?tlscacert(=|$)` .) }}{{ end -}}
{{- ternary "" "true" (empty $wanted) -}}
{{- end -}}

{{/* "true" where the preset's image is told by a variable to use the certificates at its usual paths; else empty. */}}
{{- define "buildkitd-stack.buildkitd.tlsVariable" -}}
{{- $variable := (fromYaml (include "buildkitd-stack.preset" .)).tlsVariable -}}
{{- range .Values.buildkitd.extraEnvVars -}}
{{- if and (eq .name ($variable | default "")) (eq (toString .value) "true") }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/* What a client has to have, for the notes after an install. earth has a certificate of its own in any case. */}}
{{- define "buildkitd-stack.notes.tls" -}}
{{- $host := include "buildkitd-stack.host" . -}}
{{- $signed := include "buildkitd-stack.buildkitd.clientCertificates" . | empty | ternary "" " that buildkitd's CA for clients has signed" -}}
buildkitd speaks TLS, by {{ include "buildkitd-stack.buildkitd.tls" . }}; the autoscaler only passes it on. The files in /certs have to be there where the client runs: ca.pem with the CA of buildkitd's certificate
{{- if or $signed (hasPrefix "earth" .Values.buildkitd.preset) }}, cert.pem and key.pem with a certificate of the client's own{{ $signed }}{{ end }}. buildkitd's certificate has to be for {{ $host }}; who connects by another address has to name it (buildctl --tlsservername {{ $host }}, docker buildx --driver-opt servername={{ $host }}). A client with TLS waits for a builder that starts no longer than for any server: buildctl 20 s, docker buildx 40 s, earth about a minute
{{- if eq (int .Values.autoscaler.autoscalerConfig.minReplicas) 0 }}. Where a start takes longer, autoscaler.autoscalerConfig.minReplicas 1 keeps a builder{{ end }}.
{{- end -}}

{{/*
TLS between clients and buildkitd, which passes through the autoscaler. The chart detects it from the values alone, not from a
mounted file or a variable of buildkitd.extraEnvFrom.
*/}}

{{/* The value that gives buildkitd a certificate, so that it speaks only TLS; empty if there is none. */}}
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

{{/* "true" if buildkitd accepts only clients with a certificate; else empty. */}}
{{- define "buildkitd-stack.buildkitd.clientCertificates" -}}
{{- $wanted := or (include "buildkitd-stack.buildkitd.tlsVariable" .) (regexMatch `(?m)^[^#\n]*\bca\s*=\s*["']` .Values.buildkitd.config) -}}
{{- range .Values.buildkitd.extraArgs }}{{ $wanted = or $wanted (regexMatch `^--?tlscacert(=|$)` .) }}{{ end -}}
{{- ternary "" "true" (empty $wanted) -}}
{{- end -}}

{{/* "true" if a variable tells the preset's image to use the certificates at its usual paths; else empty. */}}
{{- define "buildkitd-stack.buildkitd.tlsVariable" -}}
{{- $variable := (fromYaml (include "buildkitd-stack.preset" .)).tlsVariable -}}
{{- range .Values.buildkitd.extraEnvVars -}}
{{- if and (eq .name ($variable | default "")) (eq (toString .value) "true") }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/* What a TLS client needs, for the notes after an install. earth always has a certificate of its own. */}}
{{- define "buildkitd-stack.notes.tls" -}}
{{- $host := include "buildkitd-stack.host" . -}}
{{- $signed := include "buildkitd-stack.buildkitd.clientCertificates" . | empty | ternary "" " that buildkitd's CA for clients has signed" -}}
buildkitd speaks TLS, set by {{ include "buildkitd-stack.buildkitd.tls" . }}; the autoscaler passes it through. Clients need files in /certs: ca.pem with the CA of buildkitd's certificate
{{- if or $signed (hasPrefix "earth" .Values.buildkitd.preset) }}, cert.pem and key.pem with a client certificate{{ $signed }}{{ end }}. buildkitd's certificate has to be for {{ $host }}. A client that connects by another address has to name that host (buildctl --tlsservername {{ $host }}, docker buildx --driver-opt servername={{ $host }}). TLS clients give up a cold start after their own limit: buildctl 20 s, docker buildx 40 s, earth about a minute
{{- if eq (int .Values.autoscaler.autoscalerConfig.minReplicas) 0 }}. If a start takes longer, set autoscaler.autoscalerConfig.minReplicas to 1 to keep a builder{{ end }}.
{{- end -}}

{{/*
Fields of the autoscaler's Service that its type does not have, as a list in YAML: Kubernetes refuses or ignores them.
*/}}
{{- define "buildkitd-stack.checks.service" -}}
{{- include "buildkitd-stack.checks.serviceType" (dict "path" "autoscaler.service" "service" .Values.autoscaler.service) -}}
{{- end -}}

{{/* The same of any Service: `.service` with its values, which stand at `.path`. */}}
{{- define "buildkitd-stack.checks.serviceType" -}}
{{- $problems := list -}}
{{- $type := .service.type -}}
{{- if ne $type "LoadBalancer" -}}
{{- range $key, $value := pick .service "loadBalancerSourceRanges" "loadBalancerClass" -}}
{{- if $value -}}
{{- $problems = append $problems (printf "%s.%s is given, and %s.type is %q: want type \"LoadBalancer\", or leave it out" $.path $key $.path $type) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq $type "ClusterIP" -}}
{{- range $key, $value := pick .service "externalTrafficPolicy" "nodePort" -}}
{{- if $value -}}
{{- $problems = append $problems (printf "%s.%s is given, and %s.type is %q: want type \"NodePort\" or \"LoadBalancer\", or leave it out" $.path $key $.path $type) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

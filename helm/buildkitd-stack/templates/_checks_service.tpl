{{/*
Fields of the autoscaler's Service that its type does not have, as a list in YAML: Kubernetes refuses or ignores them.
*/}}
{{- define "buildkitd-stack.checks.service" -}}
{{- $problems := list -}}
{{- $type := .Values.autoscaler.service.type -}}
{{- if ne $type "LoadBalancer" -}}
{{- range $key, $value := pick .Values.autoscaler.service "loadBalancerSourceRanges" "loadBalancerClass" -}}
{{- if $value -}}
{{- $problems = append $problems (printf "autoscaler.service.%s is given, and autoscaler.service.type is %q: want type \"LoadBalancer\", or leave it out" $key $type) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq $type "ClusterIP" -}}
{{- range $key, $value := pick .Values.autoscaler.service "externalTrafficPolicy" "nodePort" -}}
{{- if $value -}}
{{- $problems = append $problems (printf "autoscaler.service.%s is given, and autoscaler.service.type is %q: want type \"NodePort\" or \"LoadBalancer\", or leave it out" $key $type) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/*
What the values of the Go program's chart may ask for and cannot have, as a list in YAML.
*/}}
{{- define "buildkitd-stack.checks.goNames" -}}
{{- $problems := list -}}
{{- $pairs := list
  (list "buildkitd.securityContext" .Values.buildkitd.securityContext "buildkitd.containerSecurityContext" .Values.buildkitd.containerSecurityContext)
  (list "buildkitd.extraVolumes" .Values.buildkitd.extraVolumes "buildkitd.volumes" .Values.buildkitd.volumes)
  (list "buildkitd.extraVolumeMounts" .Values.buildkitd.extraVolumeMounts "buildkitd.volumeMounts" .Values.buildkitd.volumeMounts)
  (list "buildkitd.cachePath" .Values.buildkitd.cachePath "buildkitd.persistence.mountPath" .Values.buildkitd.persistence.mountPath)
-}}
{{- range $pairs -}}
{{- $own := index . 1 -}}
{{- $other := index . 3 -}}
{{- if and $own $other (ne (toJson $own) (toJson $other)) -}}
{{- $problems = append $problems (printf "%s is %s, and %s is %s: both name the same thing. Want only one of them" (index . 0) (toJson $own) (index . 2) (toJson $other)) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "(^|/)o8t/buildkitd-proxy$" .Values.autoscaler.image.repository -}}
{{- $problems = append $problems (printf "autoscaler.image.repository is %q, which is the image of the Go program: remove autoscaler.image.repository and autoscaler.image.tag, or name an image of this program" .Values.autoscaler.image.repository) -}}
{{- end -}}
{{- if ne .Values.buildkitd.service.type "ClusterIP" -}}
{{- $problems = append $problems (printf "buildkitd.service.type is %q: the Service of buildkitd is headless, for which Kubernetes has the type \"ClusterIP\" only. Clients connect to the autoscaler: want autoscaler.service.type %q" .Values.buildkitd.service.type .Values.buildkitd.service.type) -}}
{{- end -}}
{{- $target := .Values.autoscaler.service.targetPort | default "" | toString -}}
{{- if and (regexMatch "^[0-9]+$" $target) (ne $target (include "buildkitd-stack.proxyPort" .)) -}}
{{- $problems = append $problems (printf "autoscaler.service.targetPort is %s, and autoscaler.autoscalerConfig.proxyListenAddr is %q: want the port that the program listens on, or leave targetPort out" $target (.Values.autoscaler.autoscalerConfig.proxyListenAddr | default ":8080")) -}}
{{- end -}}
{{- if eq $target "http-admin" -}}
{{- $problems = append $problems "autoscaler.service.targetPort is \"http-admin\", which is the name of the admin port: want another name" -}}
{{- end -}}
{{- $memory := (((.Values.autoscaler.resources).limits).memory) | default "" | toString -}}
{{- if $memory -}}
{{- if lt (include "buildkitd-stack.bytes" $memory | float64) 268435456.0 -}}
{{- $problems = append $problems (printf "autoscaler.resources.limits.memory is %s: a proxy takes about 65 MB when idle, and up to 200 MB with much traffic, and all builds end when it reaches its limit. Want at least 256Mi, or no limit" $memory) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/*
What an upgrade cannot take away from proxies that run, as a list in YAML: without its account or its rights a proxy cannot renew
its record, and another one scales its builds away. Pods that terminate count, too: their builds run on. Where helm renders
without a cluster there is nothing to look at.

Not everybody who may upgrade may list pods, and a look-up that is forbidden ends the upgrade. So the pods are asked for only if
the upgrade would take something away from the Deployment that is there, or does not find it by the name that it now has.
*/}}
{{- define "buildkitd-stack.checks.access" -}}
{{- $problems := list -}}
{{- if .Release.IsUpgrade -}}
{{- $wanted := splitList ", " (include "buildkitd-stack.autoscaler.access" .) -}}
{{- $live := lookup "apps/v1" "Deployment" (include "buildkitd-stack.autoscaler.namespace" .) (include "buildkitd-stack.autoscaler.fullname" .) -}}
{{- $takes := empty $live -}}
{{- if $live -}}
{{- range $object := index ($live.spec.template.metadata.annotations | default dict) (include "buildkitd-stack.autoscaler.accessAnnotation" .) | default "" | splitList ", " -}}
{{- if not (has $object (append $wanted "")) }}{{ $takes = true }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if $takes -}}
{{- $namespaces := list .Release.Namespace (include "buildkitd-stack.namespace" .) (include "buildkitd-stack.autoscaler.namespace" .) -}}
{{- if .Values.autoscaler.rbac.create -}}
{{- range (lookup "rbac.authorization.k8s.io/v1" "RoleBinding" (include "buildkitd-stack.target.namespace" .) (include "buildkitd-stack.autoscaler.fullname" .)).subjects -}}
{{- $namespaces = append $namespaces .namespace -}}
{{- end -}}
{{- end -}}
{{- $lost := list -}}
{{- $pods := list -}}
{{- range $namespace := uniq $namespaces -}}
{{- range (lookup "v1" "Pod" $namespace "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $access := index (.metadata.annotations | default dict) (include "buildkitd-stack.autoscaler.accessAnnotation" $) | default "" -}}
{{- $own := and (eq (index $labels "app.kubernetes.io/instance" | default "") $.Release.Name) (eq (index $labels "app.kubernetes.io/component" | default "") "autoscaler") -}}
{{- if and $own $access (not (has (.status | default dict).phase (list "Succeeded" "Failed"))) -}}
{{- range $object := splitList ", " $access -}}
{{- if not (has $object $wanted) }}{{ $lost = append $lost $object }}{{ end -}}
{{- end -}}
{{- $pods = append $pods (printf "%s/%s" $namespace .metadata.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $lost -}}
{{- $problems = append $problems (printf "the upgrade would take away %s while proxies run with it (%s): they could not keep their builds any more. Keep the names and namespaces as they are; or upgrade with autoscaler.replicaCount 0 and all else as it was, wait until the pods of the autoscaler are gone, which is when their builds have ended, and upgrade again" (uniq $lost | join ", ") (join ", " $pods)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/*
The access of the autoscaler to the Kubernetes API: how long its token lives, and what the chart makes for it.
*/}}

{{/*
Seconds that a token lives. The kubelet renews it when a fifth is left, and not at all while its pod terminates: a fifth has to
last for the whole grace period, and for the record after that. Kubernetes' minimum is 600.
*/}}
{{- define "buildkitd-stack.autoscaler.wantedTokenSeconds" -}}
{{- $record := include "buildkitd-stack.seconds" (.Values.autoscaler.autoscalerConfig.recordExpiry | default "5m") | int64 -}}
{{- max 600 (mul 5 (add (include "buildkitd-stack.autoscaler.gracePeriod" .) $record)) -}}
{{- end -}}

{{- define "buildkitd-stack.autoscaler.tokenSeconds" -}}
{{- if kindIs "invalid" .Values.autoscaler.serviceAccount.tokenExpirationSeconds -}}
{{- include "buildkitd-stack.autoscaler.wantedTokenSeconds" . -}}
{{- else -}}
{{- .Values.autoscaler.serviceAccount.tokenExpirationSeconds | int64 -}}
{{- end -}}
{{- end -}}

{{/* The volume that Kubernetes would mount by itself, but for the lifetime of the token. */}}
{{- define "buildkitd-stack.autoscaler.accessVolume" -}}
name: kube-api-access
projected:
  sources:
    - serviceAccountToken:
        path: token
        expirationSeconds: {{ include "buildkitd-stack.autoscaler.tokenSeconds" . }}
    - configMap:
        name: kube-root-ca.crt
        items:
          - key: ca.crt
            path: ca.crt
    - downwardAPI:
        items:
          - path: namespace
            fieldRef:
              fieldPath: metadata.namespace
{{- end -}}

{{/*
What the chart makes for the access of the pods, comma-separated: each pod carries it as an annotation, so that an upgrade
cannot take it away from one that runs.
*/}}
{{- define "buildkitd-stack.autoscaler.access" -}}
{{- $account := printf "%s/%s" (include "buildkitd-stack.autoscaler.namespace" .) (include "buildkitd-stack.autoscaler.serviceAccountName" .) -}}
{{- $role := printf "%s/%s" (include "buildkitd-stack.target.namespace" .) (include "buildkitd-stack.autoscaler.fullname" .) -}}
{{- $made := list -}}
{{- if .Values.autoscaler.serviceAccount.create -}}
{{- $made = append $made (printf "ServiceAccount %s" $account) -}}
{{- end -}}
{{- if .Values.autoscaler.rbac.create -}}
{{- $made = concat $made (list (printf "Role %s" $role) (printf "RoleBinding %s of %s" $role $account)) -}}
{{- end -}}
{{- join ", " $made -}}
{{- end -}}

{{- define "buildkitd-stack.autoscaler.accessAnnotation" -}}
buildkitd-autoscaler.earthbuild.dev/access
{{- end -}}

{{/* Not empty if the proxy only observes: it may not write the count then. */}}
{{- define "buildkitd-stack.autoscaler.observes" -}}
{{- if eq (toString .Values.autoscaler.autoscalerConfig.observe) "true" }}true{{ end -}}
{{- end -}}

{{/* What the program needs in the namespace of the StatefulSet. */}}
{{- define "buildkitd-stack.autoscaler.rules" -}}
- apiGroups: [apps]
  resources: [statefulsets]
  resourceNames: [{{ fromYamlArray (include "buildkitd-stack.target.statefulSets" .) | join ", " }}]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [statefulsets/scale]
  resourceNames: [{{ fromYamlArray (include "buildkitd-stack.target.statefulSets" .) | join ", " }}]
{{- if include "buildkitd-stack.autoscaler.observes" . }}
  verbs: [get]
{{- else }}
  verbs: [get, update, patch]
{{- end }}
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
{{- if .Values.autoscaler.rbac.leases }}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, watch, create, update, delete]
{{- end }}
{{- if ne (toString .Values.autoscaler.autoscalerConfig.events) "false" }}
# Tells in `kubectl describe statefulset` what the autoscaler does, and why.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
{{- if .Values.autoscaler.rbac.pods }}
# Makes the message better that a client gets when its time is up.
- apiGroups: [""]
  resources: [pods]
  verbs: [get]
{{- end }}
{{- end -}}

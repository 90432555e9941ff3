{{/*
Settings that may be intended but cost builds or money: one line each, for the notes after an install.
*/}}
{{- define "buildkitd-stack.warnings" -}}
{{- $type := .Values.autoscaler.service.type -}}
{{- $local := eq .Values.autoscaler.service.externalTrafficPolicy "Local" -}}
{{- if eq (int .Values.autoscaler.replicaCount) 0 }}
autoscaler.replicaCount is 0: no proxy accepts connections.
{{- end }}
{{- if and .Values.buildkitd.enabled (hasPrefix "earth" .Values.buildkitd.preset) (not .Values.buildkitd.drain.enabled) }}
buildkitd.drain.enabled is false: an eviction of buildkitd's pod cuts its builds.
{{- end }}
{{- $grace := include "buildkitd-stack.autoscaler.gracePeriod" . | int64 -}}
{{- $drain := include "buildkitd-stack.autoscaler.drain" . | int64 -}}
{{- if lt $grace $drain }}
autoscaler.terminationGracePeriodSeconds is {{ $grace }}, and shutdownDelay and drainTimeout may take {{ $drain }} s: builds that run longer are cut. Want at least {{ $drain }}, or null.
{{- end }}
{{- $token := include "buildkitd-stack.autoscaler.tokenSeconds" . | int64 -}}
{{- $wanted := include "buildkitd-stack.autoscaler.wantedTokenSeconds" . | int64 -}}
{{- if lt $token $wanted }}
autoscaler.serviceAccount.tokenExpirationSeconds is {{ $token }}: the kubelet renews a token when a fifth is left, and not at all while the pod terminates, so a proxy may lose its access to the Kubernetes API before its builds have ended. Want at least {{ $wanted }}, or null.
{{- end }}
{{- $grace := include "buildkitd-stack.buildkitd.gracePeriod" . | int64 -}}
{{- $drain := include "buildkitd-stack.buildkitd.drain" . | int64 -}}
{{- if and .Values.buildkitd.enabled (lt $grace $drain) }}
buildkitd.terminationGracePeriodSeconds is {{ $grace }}, and buildkitd.drain.timeout is {{ $drain }} s: builds that run longer are cut. Want at least {{ $drain }}, or null.
{{- end }}
{{- if and (eq $type "LoadBalancer") (not .Values.autoscaler.service.loadBalancerSourceRanges) (not (and .Values.networkPolicy.enabled .Values.networkPolicy.clients)) }}
everybody who reaches the load balancer can run builds. Restrict access by autoscaler.service.loadBalancerSourceRanges, or by networkPolicy.enabled with networkPolicy.clients.
{{- else if and (eq $type "NodePort") (not (and .Values.networkPolicy.enabled .Values.networkPolicy.clients)) }}
everybody who reaches a node can run builds, by the Service of type NodePort. Restrict access by networkPolicy.enabled with networkPolicy.clients, or by the firewall of the nodes.
{{- end }}
{{- if and (ne $type "ClusterIP") (ne (.Values.autoscaler.autoscalerConfig.wakeOn | default "connect") "data") (not (and $local (eq $type "LoadBalancer"))) }}
a load balancer that checks the Service's port by TCP counts as a client and keeps buildkitd running. Set autoscaler.autoscalerConfig.wakeOn to "data"{{ if eq $type "LoadBalancer" }}, or autoscaler.service.externalTrafficPolicy to "Local", with which it checks another port{{ end }}.
{{- end }}
{{- $outside := .Values.autoscaler.tls.service -}}
{{- if and .Values.autoscaler.tls.enabled (ne $outside.type "ClusterIP") (not .Values.autoscaler.tls.clientCa.secretName) (not $outside.loadBalancerSourceRanges) (not (and .Values.networkPolicy.enabled .Values.networkPolicy.tlsClients)) }}
everybody who reaches the Service {{ include "buildkitd-stack.tlsListener.name" . }} can run builds: TLS alone lets everybody in. Set autoscaler.tls.clientCa.secretName, so that clients need a certificate.
{{- end }}
{{- if and .Values.autoscaler.tls.enabled .Values.autoscaler.tls.clientCa.secretName (not (and .Values.networkPolicy.enabled .Values.networkPolicy.clients)) }}
the plain port of the Service {{ include "buildkitd-stack.autoscaler.fullname" . }} ({{ include "buildkitd-stack.address" . }}) stays open and asks for no certificate: everybody who reaches it can run builds. Limit it by networkPolicy.enabled with networkPolicy.clients; clients that select no pod let nobody in.
{{- end }}
{{- range fromYamlArray (include "buildkitd-stack.cordonedPools" .) }}
all builders{{ with . }} of {{ . }}{{ end }} are cordoned: every build {{ with . }}for it {{ end }}waits until its time-out, and fails. Leave one of them out of buildkitd.cordoned.
{{- end }}
{{- if not .Values.buildkitd.enabled }}
{{ include "buildkitd-stack.target.warnings" . | trim }}
{{- end }}
{{- end -}}

{{/* The pools of which no builder takes builds, as a list in YAML: in words, or empty where there is only one pool. */}}
{{- define "buildkitd-stack.cordonedPools" -}}
{{- $builders := fromYamlArray (include "buildkitd-stack.builders" .) -}}
{{- $open := dict -}}
{{- range $builders }}{{ if not (has .name ($.Values.buildkitd.cordoned | default list)) }}{{ $_ := set $open .pool true }}{{ end }}{{ end -}}
{{- $cordoned := list -}}
{{- range $builders -}}
{{- if not (hasKey $open .pool) -}}
{{- $cordoned = append $cordoned (ternary (printf "pool %s" .pool) (ternary "the default pool" "" (not (empty $.Values.pools))) (ne .pool "")) -}}
{{- end -}}
{{- end -}}
{{- toYaml (uniq $cordoned) -}}
{{- end -}}

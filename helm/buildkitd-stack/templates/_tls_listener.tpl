{{/*
TLS between clients and the autoscaler, and the header by which load balancers say who the client is.
*/}}

{{- define "buildkitd-stack.tlsListener.path" -}}
/etc/autoscaler-tls
{{- end -}}

{{- define "buildkitd-stack.tlsListener.clientCaPath" -}}
/etc/autoscaler-client-ca
{{- end -}}

{{/* The name of the Service, and of the Certificate. */}}
{{- define "buildkitd-stack.tlsListener.name" -}}
{{- printf "%s-tls" (include "buildkitd-stack.autoscaler.fullname" .) -}}
{{- end -}}

{{- define "buildkitd-stack.tlsListener.secret" -}}
{{- .Values.autoscaler.tls.secretName | default (include "buildkitd-stack.tlsListener.name" .) -}}
{{- end -}}

{{- define "buildkitd-stack.tlsListener.host" -}}
{{- printf "%s.%s.svc" (include "buildkitd-stack.tlsListener.name" .) (include "buildkitd-stack.autoscaler.namespace" .) -}}
{{- end -}}

{{/* The autoscaler's variables. */}}
{{- define "buildkitd-stack.tlsListener.env" -}}
{{- with .Values.autoscaler.tls -}}
{{- if .enabled }}
- name: AUTOSCALER_TLS_LISTEN_ADDR
  value: {{ printf ":%d" (int .containerPort) | quote }}
- name: AUTOSCALER_TLS_CERT
  value: {{ include "buildkitd-stack.tlsListener.path" $ }}/tls.crt
- name: AUTOSCALER_TLS_KEY
  value: {{ include "buildkitd-stack.tlsListener.path" $ }}/tls.key
{{- if .clientCa.secretName }}
- name: AUTOSCALER_TLS_CLIENT_CA
  value: {{ include "buildkitd-stack.tlsListener.clientCaPath" $ }}/{{ .clientCa.key }}
{{- end }}
{{- with .clientNames }}
- name: AUTOSCALER_TLS_CLIENT_NAMES
  value: {{ join "," . | quote }}
{{- end }}
{{- end }}
{{- end -}}
{{- with .Values.autoscaler.proxyProtocol.from }}
- name: AUTOSCALER_PROXY_PROTOCOL
  value: require
- name: AUTOSCALER_PROXY_PROTOCOL_FROM
  value: {{ join "," . | quote }}
{{- end }}
{{- end -}}

{{- define "buildkitd-stack.tlsListener.mounts" -}}
{{- with .Values.autoscaler.tls -}}
{{- if .enabled -}}
- name: tls
  mountPath: {{ include "buildkitd-stack.tlsListener.path" $ }}
  readOnly: true
{{- if .clientCa.secretName }}
- name: client-ca
  mountPath: {{ include "buildkitd-stack.tlsListener.clientCaPath" $ }}
  readOnly: true
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Of the clients' Secret only the CA's certificate: the Secret may hold its key, too. */}}
{{- define "buildkitd-stack.tlsListener.volumes" -}}
{{- with .Values.autoscaler.tls -}}
{{- if .enabled -}}
- name: tls
  secret:
    secretName: {{ include "buildkitd-stack.tlsListener.secret" $ }}
    items:
      - key: tls.crt
        path: tls.crt
      - key: tls.key
        path: tls.key
{{- if .clientCa.secretName }}
- name: client-ca
  secret:
    secretName: {{ .clientCa.secretName }}
    items:
      - key: {{ .clientCa.key }}
        path: {{ .clientCa.key }}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the values say too much or too little, as a list in YAML. */}}
{{- define "buildkitd-stack.checks.tlsListener" -}}
{{- $problems := list -}}
{{- $tls := .Values.autoscaler.tls -}}
{{- if $tls.enabled -}}
{{- if not (or $tls.secretName $tls.certManager.create) -}}
{{- $problems = append $problems "autoscaler.tls.enabled is true, and there is no certificate: name a Secret by autoscaler.tls.secretName, or set autoscaler.tls.certManager.create" -}}
{{- end -}}
{{- if and $tls.certManager.create (not ($tls.certManager.issuerRef | default dict).name) -}}
{{- $problems = append $problems "autoscaler.tls.certManager.create is true, and autoscaler.tls.certManager.issuerRef names no issuer: want issuerRef.name, such as {name: letsencrypt, kind: ClusterIssuer}" -}}
{{- end -}}
{{- range $key, $address := dict "proxyListenAddr" .Values.autoscaler.autoscalerConfig.proxyListenAddr "adminAddr" .Values.autoscaler.autoscalerConfig.adminAddr -}}
{{- if and $address (eq (include "buildkitd-stack.port" (toString $address)) (int $tls.containerPort | toString)) -}}
{{- $problems = append $problems (printf "autoscaler.tls.containerPort and autoscaler.autoscalerConfig.%s have the same port %d: want different ones" $key (int $tls.containerPort)) -}}
{{- end -}}
{{- end -}}
{{- if and $tls.clientNames (not $tls.clientCa.secretName) -}}
{{- $problems = append $problems "autoscaler.tls.clientNames is given, and autoscaler.tls.clientCa.secretName is empty, so clients show no certificate: want both" -}}
{{- end -}}
{{- else -}}
{{- range $key, $given := dict "clientCa.secretName" $tls.clientCa.secretName "clientNames" $tls.clientNames -}}
{{- if $given -}}
{{- $problems = append $problems (printf "autoscaler.tls.%s is given, and autoscaler.tls.enabled is false, so there is only the plain port, which asks for no certificate: want true, or leave it out" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml (concat $problems (fromYamlArray (include "buildkitd-stack.checks.serviceType" (dict "path" "autoscaler.tls.service" "service" $tls.service)))) -}}
{{- end -}}

{{/* What clients with TLS type, for the notes after an install. */}}
{{- define "buildkitd-stack.notes.tlsListener" -}}
{{- $tls := .Values.autoscaler.tls -}}
{{- $public := $tls.certManager.dnsNames | default (list "") | first -}}
{{- $host := $public | default (include "buildkitd-stack.tlsListener.host" .) -}}
{{- $address := printf "tcp://%s:%d" $host (int $tls.service.port) -}}
{{- $buildx := "cacert=/certs/ca.pem" -}}
{{- $buildctl := "--tlscacert /certs/ca.pem" -}}
{{- if $tls.clientCa.secretName -}}
{{- $buildx = printf "%s,cert=/certs/cert.pem,key=/certs/key.pem" $buildx -}}
{{- $buildctl = printf "%s --tlscert /certs/cert.pem --tlskey /certs/key.pem" $buildctl -}}
{{- end -}}
Clients with TLS connect to:

  {{ $address }}

  docker buildx create --name cluster-tls --driver remote --driver-opt {{ $buildx }} {{ $address }}
  buildctl --addr {{ $address }} {{ $buildctl }} debug workers
{{- if ne $tls.service.type "ClusterIP" }}

Its address outside the cluster{{ if $tls.certManager.dnsNames }}, for the DNS record of that name{{ end }}:

  kubectl --namespace {{ include "buildkitd-stack.autoscaler.namespace" . }} get service {{ include "buildkitd-stack.tlsListener.name" . }}
{{- end }}
{{- $files := ternary "ca.pem with the CA of the autoscaler's certificate, cert.pem and key.pem with a client certificate of the CA in" "ca.pem with the CA of the autoscaler's certificate" (not (empty $tls.clientCa.secretName)) }}
{{- $secret := ternary (printf " Secret %s" $tls.clientCa.secretName) "" (not (empty $tls.clientCa.secretName)) }}

{{ printf "Files in /certs: %s%s. A client that connects by another name than %s has to name it (buildctl --tlsservername, docker buildx --driver-opt servername=)." $files $secret $host | wrap 110 }}
{{- end -}}

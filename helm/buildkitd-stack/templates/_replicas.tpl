{{/*
The StatefulSet's replicas, or nothing. The number is the autoscaler's to decide; the chart only says how many there are when
the StatefulSet is made; one at least for a proxy that only observes, which starts none. After that

- helm 4 applies on the server, and a field that it leaves out stays as it is, since the autoscaler owns it. Rendering the
  present number would be refused as a conflict when the autoscaler writes another one in the same moment, and later at a
  rollback;
- helm 3 works out a patch, and takes a field that it no longer renders for one to delete, which would be one replica. It
  gets the present number, which yields no patch.
*/}}
{{- define "buildkitd-stack.buildkitd.replicas" -}}
{{- if not .Values.buildkitd.omitReplicas -}}
{{- $live := fromYaml (include "buildkitd-stack.buildkitd.live" .) -}}
{{- if not $live -}}
{{- max (.Values.buildkitd.replicaCount | int64) (ternary 1 0 (eq (include "buildkitd-stack.autoscaler.observes" .) "true")) -}}
{{- else if semverCompare "<4.0.0-0" .Capabilities.HelmVersion.Version -}}
{{- $live.spec.replicas | int64 -}}
{{- end -}}
{{- end -}}
{{- end -}}

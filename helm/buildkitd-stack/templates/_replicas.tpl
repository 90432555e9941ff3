{{/*
The StatefulSet's replicas, or nothing. The number is the autoscaler's to decide; the chart only says how many there are when
the StatefulSet is made; one at least for a proxy that only observes, which starts none. After that

- helm 4 applies on the server, and a field that it leaves out stays as it is if somebody else owns it, too: the autoscaler,
  once it has written the number, or whoever scales by hand. Rendering the present number would be refused as a conflict when
  the autoscaler writes another one in the same moment, and later at a rollback. A field that only helm owns would be removed,
  which means one replica, and cuts builds: a proxy that only observes never writes it. So then helm gets the present number;
- helm 3 works out a patch, and takes a field that it no longer renders for one to delete, which would be one replica. It
  gets the present number, which yields no patch. So does helm 4 for a release that helm 3 has made.
*/}}
{{- define "buildkitd-stack.buildkitd.replicas" -}}
{{- if not .Values.buildkitd.omitReplicas -}}
{{- $live := fromYaml (include "buildkitd-stack.buildkitd.live" .) -}}
{{- if not $live -}}
{{- max (.Values.buildkitd.replicaCount | int64) (ternary 1 0 (eq (include "buildkitd-stack.autoscaler.observes" .) "true")) -}}
{{- else if or (semverCompare "<4.0.0-0" .Capabilities.HelmVersion.Version) (not (include "buildkitd-stack.buildkitd.replicasMayBeOmitted" $live)) -}}
{{- $live.spec.replicas | int64 -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Not empty if the StatefulSet was applied on the server, and its replicas have a second owner, or one who writes them through
/scale. The only owner without /scale is whoever installed the chart: helm, or a tool that uses helm's code under another name,
such as Flux.
*/}}
{{- define "buildkitd-stack.buildkitd.replicasMayBeOmitted" -}}
{{- $applied := false -}}
{{- $owners := list -}}
{{- range .metadata.managedFields -}}
{{- $spec := dig "f:spec" dict (.fieldsV1 | default dict) -}}
{{- if and (eq .operation "Apply") (hasKey $spec "f:template") -}}
{{- $applied = true -}}
{{- end -}}
{{- if hasKey $spec "f:replicas" -}}
{{- $owners = append $owners (.subresource | default "") -}}
{{- end -}}
{{- end -}}
{{- if and $applied (or (gt (len $owners) 1) (join "" $owners)) }}true{{ end -}}
{{- end -}}

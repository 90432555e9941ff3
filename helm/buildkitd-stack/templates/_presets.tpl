{{/*
What the kinds of buildkitd images differ in, by the name of the preset:

image      what runs when the values have the defaults, which are those of "earthly"
cachePath  where the image keeps its cache
configPath where the image looks for buildkitd.toml; empty where it makes that file itself
configVariable  the variable whose text such an image adds to the file that it makes
args       arguments beside the address
env        variables
tlsVariable  the variable by which such an image uses certificates at paths of its own, and wants one of each client
podSecurityContext, securityContext

Earthly's and EarthBuild's images listen on TCP only with BUILDKIT_TCP_TRANSPORT_ENABLED.
*/}}
{{- define "buildkitd-stack.presets" -}}
earthly:
  image: { repository: earthly/buildkitd, tag: v0.8.15 }
  cachePath: /tmp/earthly
  configVariable: EARTHLY_ADDITIONAL_BUILDKIT_CONFIG
  env: { BUILDKIT_TCP_TRANSPORT_ENABLED: "true" }
  tlsVariable: BUILDKIT_TLS_ENABLED
  securityContext: { privileged: true }
earthbuild:
  image: { repository: ghcr.io/earthbuild/earthbuild, tag: buildkitd-v0.8.17-fix.5 }
  cachePath: /tmp/earthbuild
  configVariable: EARTHLY_ADDITIONAL_BUILDKIT_CONFIG
  env: { BUILDKIT_TCP_TRANSPORT_ENABLED: "true" }
  tlsVariable: BUILDKIT_TLS_ENABLED
  securityContext: { privileged: true }
moby:
  image: { repository: moby/buildkit, tag: v0.34.2 }
  cachePath: /var/lib/buildkit
  configPath: /etc/buildkit/buildkitd.toml
  securityContext: { privileged: true }
moby-rootless:
  image: { repository: moby/buildkit, tag: v0.34.2-rootless }
  cachePath: /home/user/.local/share/buildkit
  configPath: /home/user/.config/buildkit/buildkitd.toml
  args: [--oci-worker-no-process-sandbox]
  podSecurityContext:
    fsGroup: 1000
    fsGroupChangePolicy: OnRootMismatch
  securityContext:
    runAsUser: 1000
    runAsGroup: 1000
    seccompProfile: { type: Unconfined }
    appArmorProfile: { type: Unconfined }
{{- end -}}

{{/* The chosen preset, as YAML. */}}
{{- define "buildkitd-stack.preset" -}}
{{- index (fromYaml (include "buildkitd-stack.presets" .)) .Values.buildkitd.preset | toYaml -}}
{{- end -}}

{{/* buildkitd's image. What still has the default of the preset "earthly" is replaced by the chosen preset's. */}}
{{- define "buildkitd-stack.buildkitd.image" -}}
{{- $default := (index (fromYaml (include "buildkitd-stack.presets" .)) "earthly").image -}}
{{- $preset := (fromYaml (include "buildkitd-stack.preset" .)).image -}}
{{- $repository := .Values.buildkitd.image.repository -}}
{{- $tag := .Values.buildkitd.image.tag -}}
{{- if eq $repository $default.repository }}{{ $repository = $preset.repository }}{{ end -}}
{{- if eq $tag $default.tag }}{{ $tag = $preset.tag }}{{ end -}}
{{- include "buildkitd-stack.image" (dict "root" . "image" (dict "repository" $repository "tag" $tag "digest" .Values.buildkitd.image.digest) "tag" $preset.tag) -}}
{{- end -}}

{{- define "buildkitd-stack.buildkitd.cachePath" -}}
{{- .Values.buildkitd.cachePath | default .Values.buildkitd.persistence.mountPath | default (fromYaml (include "buildkitd-stack.preset" .)).cachePath -}}
{{- end -}}

{{/*
Waits until no client is connected to buildkitd's port, at most for the drain time-out. The kernel's list of connections is
all that is needed, so this works in every image that has a shell, as any user. 01 is ESTABLISHED.
*/}}
{{- define "buildkitd-stack.buildkitd.preStop" -}}
end=$(( $(date +%s) + {{ include "buildkitd-stack.seconds" .Values.buildkitd.drain.timeout }} ))
while cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -Eq '^ *[0-9]+: [0-9A-F]+:{{ printf "%04X" (int .Values.buildkitd.service.port) }} [0-9A-F]+:[0-9A-F]+ 01 '; do
  [ "$(date +%s)" -lt "$end" ] || break
  sleep 1
done
{{- end -}}

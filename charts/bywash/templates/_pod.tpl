{{/* The template of the Pods, the same for a Deployment and a DaemonSet. */}}
{{- define "bywash.podTemplate" -}}
{{- $controller := .Values.controller -}}
metadata:
  labels:
    {{- include "bywash.selectorLabels" . | nindent 4 }}
    app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
    {{- with .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with $controller.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $controller.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "bywash.serviceAccountName" . }}
  automountServiceAccountToken: true
  terminationGracePeriodSeconds: {{ $controller.terminationGracePeriodSeconds }}
  dnsPolicy: {{ $controller.dnsPolicy }}
  {{- if $controller.hostNetwork }}
  hostNetwork: true
  {{- end }}
  {{- with $controller.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $controller.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- range $field := list "podSecurityContext" "dnsConfig" "hostAliases" "nodeSelector" "tolerations" "affinity" }}
  {{- with get $controller $field }}
  {{ $field | replace "podSecurityContext" "securityContext" }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if eq $controller.kind "Deployment" }}
  {{- with $controller.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    {{- $selected := dict "labelSelector" (dict "matchLabels" (include "bywash.selectorLabels" $ | fromYaml)) }}
    -
      {{- tpl (toYaml (hasKey . "labelSelector" | ternary . (merge (deepCopy .) $selected))) $ | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- end }}
  {{- with $controller.extraInitContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
  - {{- include "bywash.container" . | nindent 4 }}
  {{- with $controller.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $controller.extraVolumes }}
  volumes:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "bywash.container" -}}
{{- $controller := .Values.controller -}}
name: {{ $controller.containerName }}
image: {{ include "bywash.image" . }}
imagePullPolicy: {{ $controller.image.pullPolicy }}
args:
- run
{{- include "bywash.arguments" . }}
{{- with $controller.extraEnvs }}
env:
{{- toYaml . | nindent 0 }}
{{- end }}
ports:
- name: http
  containerPort: {{ $controller.containerPort.http }}
  protocol: TCP
  {{- if $controller.hostPort.enabled }}
  hostPort: {{ $controller.hostPort.ports.http }}
  {{- end }}
- name: https
  containerPort: {{ $controller.containerPort.https }}
  protocol: TCP
  {{- if $controller.hostPort.enabled }}
  hostPort: {{ $controller.hostPort.ports.https }}
  {{- end }}
- name: metrics
  containerPort: {{ $controller.metrics.port }}
  protocol: TCP
{{- with $controller.livenessProbe }}
livenessProbe:
  httpGet: {path: /livez, port: metrics}
  {{- toYaml . | nindent 2 }}
{{- end }}
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  {{- toYaml $controller.readinessProbe | nindent 2 }}
{{- with $controller.startupProbe }}
startupProbe:
  httpGet: {path: /livez, port: metrics}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $field := list "lifecycle" "resources" }}
{{- with get $controller $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
securityContext:
  {{- toYaml $controller.containerSecurityContext | nindent 2 }}
{{- with $controller.extraVolumeMounts }}
volumeMounts:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}

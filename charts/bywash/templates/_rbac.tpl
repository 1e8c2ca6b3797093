{{/*
The rules of docs/rbac.md, in the groups in which they are bound. A role cannot say "only the Secrets
that an Ingress names": whoever may list those of a namespace may read them all.
*/}}
{{- define "bywash.rules.routes" -}}
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch]
- apiGroups: [bywash.dev]
  resources: [gatewaypolicies]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list]
- apiGroups: [networking.k8s.io]
  resources: [ingresses/status]
  verbs: [patch]
- apiGroups: [bywash.dev]
  resources: [gatewaypolicies/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [events]
  verbs: [get, create, patch]
{{- end -}}

{{- define "bywash.rules.secrets" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch]
{{- end -}}

{{- define "bywash.rules.classes" -}}
- apiGroups: [networking.k8s.io]
  resources: [ingressclasses]
  verbs: [list, watch]
{{- end -}}

{{- define "bywash.rules.nodes" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [get]
{{- end -}}

{{- define "bywash.rules.publishedService" -}}
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
{{- end -}}

{{/* What the rules for routes grant in the same namespace, or in all, is not granted again. */}}
{{- define "bywash.rules.own" -}}
{{- $watched := include "bywash.watchedNamespace" . -}}
- apiGroups: [""]
  resources: [configmaps]
  {{- if and $watched (ne $watched (include "bywash.namespace" .)) }}
  verbs: [list, watch, create, patch]
  {{- else }}
  verbs: [create, patch]
  {{- end }}
- apiGroups: [""]
  resources: [pods]
  {{- if and (include "bywash.publishesNodes" .) $watched (ne $watched (include "bywash.namespace" .)) }}
  verbs: [get, list, watch]
  {{- else if include "bywash.publishesNodes" . }}
  verbs: [get, watch]
  {{- else }}
  verbs: [get]
  {{- end }}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, patch]
{{- end -}}

{{/* A Role and its binding to the ServiceAccount: takes root, name, namespace and rules. */}}
{{- define "bywash.role" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "bywash.labels" .root | nindent 4 }}
rules:
{{ .rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "bywash.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
- kind: ServiceAccount
  name: {{ include "bywash.serviceAccountName" .root }}
  namespace: {{ include "bywash.namespace" .root }}
{{- end -}}

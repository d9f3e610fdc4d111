{{- define "edgeprobe.labels" -}}
app.kubernetes.io/name: edgeprobe
{{- end }}

{{- /* Where alerts and dashboards lead. */}}
{{- define "edgeprobe.runbooks" -}}
{{ .Values.runbooks | default "https://url-to-be-set.invalid/runbooks" | trimSuffix "/" }}
{{- end }}

{{- /* What a namespace's objects may be asked. */}}
{{- define "edgeprobe.rules" -}}
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [apps] # optional: without it, no rollouts and no candidate ports
  resources: [deployments, statefulsets, daemonsets]
  verbs: [list, watch]
- apiGroups: [apps] # optional: one look at ReplicaSets where no workload declares a port
  resources: [replicasets]
  verbs: [list]
- apiGroups: [networking.k8s.io] # optional: without it, no policy that leaves us out is named
  resources: [networkpolicies]
  verbs: [list, watch]
- apiGroups: [events.k8s.io] # optional: without it, incidents are not told as Events
  resources: [events]
  verbs: [create, patch, list] # list: to see whether another node has told already
{{- end }}

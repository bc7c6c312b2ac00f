{{- define "egret.labels" -}}
app.kubernetes.io/name: egret
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "egret.controllerUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ .Release.Name }}-controller
{{- end }}

{{/* The name of everything: the release's, if that says what it is. */}}
{{- define "alb-provider.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The instances of the provider, as JSON: the one that only reads, and with handover the one that writes. */}}
{{- define "alb-provider.instances" -}}
{{- $name := include "alb-provider.fullname" . -}}
{{- $reads := dict "name" $name "replicas" .Values.replicas "roleArn" .Values.serviceAccount.roleArn "settings" .Values.settings "callsPerSecond" .Values.callsPerSecond "tokensSecret" .Values.tokensSecret "handsOver" false -}}
{{- $instances := list $reads -}}
{{- if .Values.handover.enabled -}}
{{- if not (or .Values.handover.tokensSecret .Values.tokensSecret) -}}
{{- fail "handover.enabled needs handover.tokensSecret: otherwise anyone who reaches the port could register targets" -}}
{{- end -}}
{{- $instances = append $instances (dict "name" (printf "%s-handover" $name) "replicas" 2 "roleArn" .Values.handover.roleArn "settings" .Values.handover.settings "callsPerSecond" "2" "tokensSecret" (.Values.handover.tokensSecret | default .Values.tokensSecret) "handsOver" true) -}}
{{- end -}}
{{- toJson $instances -}}
{{- end -}}

{{- define "alb-provider.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

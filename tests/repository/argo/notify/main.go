// Runs a trigger of a notification ConfigMap with the engine that Argo Rollouts uses, and prints the messages it would send.
// Standard input: {"configMap": …, "trigger": …, "vars": {"rollout": …, "analysisRuns": …}}.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/notifications-engine/pkg/api"
	"github.com/argoproj/notifications-engine/pkg/templates"
	"github.com/argoproj/notifications-engine/pkg/triggers"
	log "github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
)

func main() {
	var asked struct {
		ConfigMap corev1.ConfigMap
		Trigger   string
		Vars      map[string]any
	}
	check(json.NewDecoder(os.Stdin).Decode(&asked))
	config, err := api.ParseConfig(&asked.ConfigMap, &corev1.Secret{})
	check(err)
	triggered, err := triggers.NewService(config.Triggers)
	check(err)
	results, err := triggered.Run(asked.Trigger, asked.Vars)
	check(err)
	formatter, err := templates.NewService(config.Templates)
	check(err)
	for number, result := range results {
		// The engine does not trigger a condition without `when`; Argo sends it all the same (utils/record/record.go).
		if !result.Triggered && config.Triggers[asked.Trigger][number].When != "" {
			continue
		}
		notification, err := formatter.FormatNotification(asked.Vars, result.Templates...)
		check(err)
		fmt.Println(notification.Message)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

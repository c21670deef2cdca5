// Measures a metric once with the code of Argo Rollouts: its JSON on standard input, the phase on standard output.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/argo-rollouts/metricproviders/webmetric"
	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	log "github.com/sirupsen/logrus"
)

func main() {
	var metric v1alpha1.Metric
	if err := json.NewDecoder(os.Stdin).Decode(&metric); err != nil {
		log.Fatal(err)
	}
	client, err := webmetric.NewWebMetricHttpClient(metric)
	if err != nil {
		log.Fatal(err)
	}
	parser, err := webmetric.NewWebMetricJsonParser(metric)
	if err != nil {
		log.Fatal(err)
	}
	measured := webmetric.NewWebMetricProvider(*log.NewEntry(log.New()), client, parser).Run(nil, metric)
	fmt.Println(measured.Phase)
}

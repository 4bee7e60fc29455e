package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/doctor"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/internal/shown"
)

func newDoctor() *cobra.Command {
	var in installation
	var files []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor -p FILE",
		Short: "Check the connection to Kafka and to a service step by step",
		Long: `Check the connection to Kafka and to a service step by step, and report which step fails and how to fix it. -p names a
worker's file, to check Kafka, or a connector's, to check its service; it may be given twice. Steps: tokens and proxies
of SAP BTP, connections, TLS, logons, brokers; the documents of the service, a CSRF token, entity sets, the settings as
culvert validate --online checks them, and schema registries; with both files also the rights on topics.

One line per step, with its duration. Nothing is retried. Exit code: 0 all steps succeeded, 1 a step failed.`,
		Example: `  culvert doctor -p worker.properties
  culvert doctor -p worker.properties -p orders.properties
  culvert doctor -p orders.properties --json`,
		RunE: func(c *cobra.Command, _ []string) error { return diagnose(c, &in, files, asJSON) },
	}
	in.flags(c, "error")
	c.Flags().StringArrayVarP(&files, "properties", "p", nil,
		"`file` of a worker or of a connector; may be given twice")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object per step: step, ok, ms, setting, message")
	return c
}

func diagnose(c *cobra.Command, in *installation, files []string, asJSON bool) error {
	if len(files) == 0 {
		return asUsageError(errors.New("expected -p FILE, of a worker or of a connector"))
	}
	sorted, _, err := sortFiles(files)
	if err != nil {
		return asUsageError(err)
	}
	log, err := in.logger(c.ErrOrStderr())
	if err != nil {
		return err
	}
	var w *config.Worker // set before the first step is reported
	diagnosis := doctor.NewDiagnosis(func(s doctor.Step) {
		s.Step = w.Redact(s.Step)
		s.Message = w.Redact(s.Message)
		out := c.OutOrStdout()
		if asJSON {
			printJSON(out, s)
			return
		}
		state := "ok  "
		if !s.OK {
			state = "FAIL"
		}
		message := s.Message
		if s.Setting != "" && !strings.HasPrefix(message, s.Setting+":") {
			message = s.Setting + ": " + message
		}
		fmt.Fprintf(out, "%s %6d ms  %-28s %s\n", state, s.Ms, inLine(s.Step), shown.Line(message))
	})
	brokers := kafka.Defaults()
	if sorted.Worker == "" {
		if w, err = in.worker(""); err != nil {
			return err
		}
	} else {
		settings, err := in.settings()
		if err != nil {
			return err
		}
		if w, brokers, err = remoteKafka(c.Context(), sorted.Worker, settings, log); err != nil {
			return err
		}
		route, _, err := security.RouteSettings(w.All())
		if err != nil {
			return asUsageError(err)
		}
		route.Logger = log
		isTLS, explain := brokers.TLS()
		diagnosis.Kafka(c.Context(), doctor.Kafka{
			Bootstrap: brokers.Bootstrap, Route: route, TLS: isTLS, Explain: explain, SASL: brokers.SASL()})
	}
	for _, file := range sorted.Connectors { // -p may also name several connectors, or their folder
		if !diagnosis.OK() {
			break
		}
		tool, closeTool, err := openTool(c, in, w, file)
		if err != nil {
			return err
		}
		diagnosis.Service(c.Context(), tool)
		diagnosis.Settings(c.Context(), brokers, tool)
		if sorted.Worker != "" && diagnosis.OK() { // unlike the others, it reads key stores after a failed step
			diagnosis.Topics(c.Context(), brokers, tool)
		}
		diagnosis.Registries(c.Context(), tool)
		closeTool()
	}
	if !diagnosis.OK() {
		return asFailure(errors.New("")) // the failed step was printed
	}
	return nil
}

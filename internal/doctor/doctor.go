// Package doctor checks the connection to Kafka and to a connector's service step by step. It reports the step that
// fails and where to fix it: which setting, which page of the BTP cockpit or the Cloud Connector, which transaction of
// the SAP system.
//
// It sends the requests of a worker once: no step is retried, and a refused logon counts towards a lockout.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/internal/transport/socks"
	"github.com/culvert-project/culvert/wit"
)

// Step is the result of one step.
type Step struct {
	Step    string `json:"step"`
	OK      bool   `json:"ok"`
	Ms      int64  `json:"ms"` // duration
	Setting string `json:"setting"`
	Message string `json:"message"` // the finding; after a failure what was expected, what was found, and how to fix it
}

// Diagnosis runs steps and reports each. It stops after the first failure.
type Diagnosis struct {
	report    func(Step)
	hasFailed bool
}

// NewDiagnosis returns a diagnosis that calls report after every step.
func NewDiagnosis(report func(Step)) *Diagnosis { return &Diagnosis{report: report} }

// OK reports whether no step has failed.
func (d *Diagnosis) OK() bool { return !d.hasFailed }

// runStep runs a step and reports whether it succeeded. It does nothing and returns false after a failure.
func (d *Diagnosis) runStep(name string, do func() (string, error)) bool {
	if d.hasFailed {
		return false
	}
	start := time.Now()
	message, err := do()
	return d.record(name, time.Since(start), message, err)
}

// record reports the result of a step like runStep.
func (d *Diagnosis) record(name string, elapsed time.Duration, message string, err error) bool {
	if d.hasFailed {
		return false
	}
	step := Step{Step: name, OK: err == nil, Ms: elapsed.Milliseconds(), Message: message}
	if err != nil {
		d.hasFailed = true
		step.Setting = settingOf(err)
		step.Message = err.Error()
	}
	d.report(step)
	return step.OK
}

// hintError is an error with the setting and the instructions that fix it; "" if they are unknown.
type hintError struct {
	setting      string
	instructions string
	cause        error
}

func (h *hintError) Error() string {
	if h.instructions == "" {
		return h.cause.Error()
	}
	return h.cause.Error() + ". " + h.instructions
}

func (h *hintError) Unwrap() error { return h.cause }

func settingOf(err error) string {
	var hint *hintError
	if errors.As(err, &hint) && hint.setting != "" {
		return hint.setting
	}
	var misconfigured *route.Misconfigured
	var refused *route.Refused
	var notHTTP *route.NotHTTP
	var failure *btp.Failure
	var store *keystore.Error
	var witError *wit.Error
	switch {
	case errors.As(err, &misconfigured):
		return misconfigured.Setting
	case errors.As(err, &refused):
		return refused.Setting
	case errors.As(err, &notHTTP):
		return notHTTP.Setting
	case errors.As(err, &failure):
		return failure.Setting
	case errors.As(err, &store):
		return store.Setting
	case errors.As(err, &witError) && witError.Setting != nil:
		return *witError.Setting
	}
	return ""
}

// Pages on which problems outside of the worker's settings are fixed.
const (
	cockpitConnectors = "BTP cockpit, subaccount, Connectivity, Cloud Connectors"
	accessControl     = "Cloud Connector administration, Cloud To On-Premise, Access Control"
)

// checkConnectors checks that a Cloud Connector with one of the location IDs is attached to the subaccount.
func checkConnectors(ctx context.Context, r *route.Route, locations []string, setting string,
	o btp.TokenOptions) (string, error) {
	if r.ConnectivityAPI() == nil {
		return "not checked: the binding does not allow an application to list them (its plan is not api_access)", nil
	}
	attached, err := btp.ConnectedCloudConnectors(ctx, *r.ConnectivityAPI(), o)
	if err != nil { // the connections of the next steps show whether there is a Cloud Connector
		return "unknown, which affects only this step: " + err.Error(), nil
	}
	if len(attached) == 0 {
		return "", &hintError{"", "Connect one to the subaccount: Cloud Connector administration, Add Subaccount; " +
			"HTTP 417 there means that the user is no administrator of the subaccount and does not hold the role " +
			"Cloud Connector Administrator. It then shows in the " + cockpitConnectors,
			errors.New("no Cloud Connector is attached to the subaccount")}
	}
	texts := make([]string, len(attached))
	for i, location := range attached {
		texts[i] = locationText(location)
	}
	description := strings.Join(texts, ", ")
	if len(locations) == 0 {
		locations = []string{""}
	}
	if slices.ContainsFunc(locations, func(l string) bool { return slices.Contains(attached, l) }) {
		return description, nil
	}
	if !slices.ContainsFunc(attached, func(l string) bool { return l != "" }) {
		// Assumption: package btp reads the field of the list that contains location IDs, if there is one.
		return fmt.Sprintf("%d attached; the list contains no location ids, so the next steps show whether there is "+
			"one %s, as %s requires", len(attached), locationText(locations[0]), setting), nil
	}
	return "", &hintError{setting, "The location ids are in the " + cockpitConnectors,
		fmt.Errorf("expected a Cloud Connector %s, found %s", locationText(locations[0]), description)}
}

func locationText(location string) string {
	if location == "" {
		return "without a location id"
	}
	return "with location id " + location
}

// routeProbe is a route whose steps are recorded.
type routeProbe struct {
	route           *route.Route
	settings        route.Settings
	locationSetting string // the user's name of the setting of location IDs
	tokens          btp.TokenOptions
	events          []socks.Event // of the last connection
	isProxyReported bool          // the steps to the proxy were reported
}

func newRoute(s route.Settings) (*routeProbe, error) {
	probe := &routeProbe{settings: s, tokens: s.TokenOptions}
	probe.settings.Outage = -1 // do not wait for a missing Cloud Connector
	probe.settings.Trace = func(e socks.Event) { probe.events = append(probe.events, e) }
	probe.locationSetting = probe.name(route.NameLocationID)
	probe.tokens.Logger = s.Logger
	probe.settings.Logger = s.Logger
	var err error
	probe.route, err = route.New(probe.settings)
	return probe, err
}

// checkProxy checks the token and the Cloud Connectors, which do not depend on an address.
func (d *Diagnosis) checkProxy(ctx context.Context, probe *routeProbe) bool {
	if t := probe.route.Type(); t != route.Connectivity && t != route.ConnectivityHTTP {
		return d.OK()
	}
	return d.runStep("token", func() (string, error) {
		_, err := probe.route.Token(ctx, "")
		return "for " + probe.route.Address(), err
	}) && d.runStep("cloud connectors", func() (string, error) {
		return checkConnectors(ctx, probe.route, probe.settings.Locations, probe.locationSetting, probe.tokens)
	})
}

package host

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Validate is what a check of a configuration finds, for a plugin of a class. logon: its sender says that the secret is
// right.
func (w worker) Validate(ctx context.Context, class string, settings map[string]string,
	logon bool) (*check.Validation, error) {
	if err := w.host.running.plugins.Loaded(ctx); err != nil {
		return nil, err
	}
	c, err := w.brought(settings)
	if err != nil {
		return nil, err
	}
	checker := w.host.checking()
	sent := w.sent(checker, c, settings)
	if err := classGiven(c); err != nil {
		return nil, err
	}
	own, err := classOf(checker, c)
	asked, unknown := checker.Class(class)
	if named, ok := settings["connector.class"]; ok && (err != nil || unknown != nil || asked != own) &&
		!strings.HasSuffix(strings.TrimSuffix(named, "Connector"), strings.TrimSuffix(class, "Connector")) {
		return nil, &rest.Refusal{Status: http.StatusBadRequest,
			Message: "Included connector type " + named + " does not match request type " + class}
	}
	if err != nil {
		return nil, asServerFault(err)
	}
	c.Problems = append(c.Problems, sent.MisdirectedSecrets()...)
	if w.mayAsk(ctx, c) {
		checker.Wait, checker.Logon = check.OnlineTime, logon || sent.HasCompleteCredentials()
	}
	v, err := checker.Validate(ctx, c)
	if ctx.Err() != nil {
		return nil, cutOff(ctx)
	}
	return v, err
}

// cutOff is the error of a request whose check took too long, or that nobody waits for any more: what the check has
// found is not all that there is to find, so nothing came of it. The first is said as Kafka Connect says it.
func cutOff(ctx context.Context) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	return &rest.Refusal{Status: http.StatusInternalServerError, Message: "Request timed out. The worker is " +
		"currently checking the configuration; nothing came of this request"}
}

// mayAsk tells whether a service may be asked about a configuration that somebody wants checked. Whoever may only read
// has nothing sent in the worker's name: the configuration says where to, and references in it are resolved. Nor is
// anything sent where a secret cannot be had, or would go elsewhere than its owner sends it.
func (w worker) mayAsk(ctx context.Context, c *config.Connector) bool {
	return !w.host.in.Worker.Boolean("rest.read.only") && rest.Restricted(ctx) == "" && c.Problems.Err() == nil
}

// sent is a configuration of a request, in which given are the settings that the request itself brings. A reference
// to what is not open to REST is nothing that its sender has shown.
func (w worker) sent(checker *check.Checker, c *config.Connector, given map[string]string) config.ConfigChange {
	s := config.ConfigChange{New: c, Declarations: config.Declare(), IsPassword: check.Passwords(checker.Plugins),
		Worker: w.host.in.Worker}
	now, _ := w.herder().RunningConfig(c.Name)
	s.Stored = now.Config
	s.FromStored = func(key string) bool {
		value, brought := given[key]
		e, _ := c.Entry(key)
		return !brought || strings.TrimSpace(value) == config.Mask || e.Value.Secret() &&
			!s.Worker.Providers.AllowedForREST(e)
	}
	if _, component, err := check.Find(checker.Plugins, c.Text("connector.class"), "", wit.ComponentSource,
		wit.ComponentSink); err == nil {
		s.Declarations = config.DeclareComponent(component)
	}
	return s
}

// Definitions are what a class declares.
func (w worker) Definitions(ctx context.Context, class string, version *string) ([]check.Definition, error) {
	if err := w.host.running.plugins.Loaded(ctx); err != nil {
		return nil, err
	}
	return w.host.checking().Definitions(class, version, restVersion())
}

// classGiven refuses a configuration whose class is a reference that cannot be resolved: nothing else about
// it can be checked.
func classGiven(c *config.Connector) error {
	for _, p := range c.Problems {
		if p.Setting == "connector.class" && !p.Warning {
			return &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(check.Told(p))}
		}
	}
	return nil
}

// classOf is the class of a configuration; the error is a Refusal.
func classOf(checker *check.Checker, c *config.Connector) (string, error) {
	if _, given := c.Entry("connector.class"); !given {
		return "", &rest.Refusal{Status: http.StatusBadRequest,
			Message: "Connector config contains no connector type: expected connector.class"}
	}
	class, err := checker.Class(c.Text("connector.class"))
	if err != nil {
		return "", &rest.Refusal{Status: http.StatusBadRequest, Message: "Failed to find any class that implements " +
			"Connector and which name matches " + c.Text("connector.class") + ": " + err.Error()}
	}
	return class, nil
}

// asServerFault is a refusal with the status that Kafka Connect's validate has for it: tools know it so.
func asServerFault(err error) error {
	var r *rest.Refusal
	if errors.As(err, &r) {
		return &rest.Refusal{Status: http.StatusInternalServerError, Message: r.Message}
	}
	return err
}

// brought returns a configuration from a REST request, with masked values replaced by the stored ones. It rejects more
// settings than a file may hold, because each makes the check take longer.
func (w worker) brought(settings map[string]string) (*config.Connector, error) {
	if n := len(settings); n > config.MaxSettings {
		return nil, &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(fmt.Sprintf("expected at most "+
			"%d settings, found %d", config.MaxSettings, n))}
	}
	now, _ := w.herder().RunningConfig(setting.Trim(settings["name"]))
	settings, err := config.RestoreMasked(settings, now.Raw)
	if err != nil {
		return nil, &rest.Refusal{Status: http.StatusBadRequest, Message: err.Error()}
	}
	c := config.NewRESTConnector("the request", settings, now.Config, w.host.in.Worker.Providers)
	if _, given := c.Entry("name"); !given {
		c.Name = ""
	}
	return c, nil
}

// checking is a checker for one check: it sees the connectors of now.
func (h *Host) checking() *check.Checker {
	now, k := h.now(), *h.checker
	k.Lockouts, k.Version = h.lockouts, restVersion()
	if now.reloads != nil {
		k.Connectors = now.reloads.all()
	}
	return &k
}

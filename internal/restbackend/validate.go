package restbackend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/buildinfo"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

func (b *Backend) validate(ctx context.Context, class string, settings map[string]string,
	logon bool) (*check.Validation, error) {
	if err := b.Parts.Get().Plugins.Loaded(ctx); err != nil {
		return nil, err
	}
	c, err := b.restoreMasked(settings)
	if err != nil {
		return nil, err
	}
	checker := b.checker()
	change := b.changes().Change(c, settings)
	if err := checkClassSetting(c); err != nil {
		return nil, err
	}
	err = checkClass(c)
	requested, unknown := checker.Class(class)
	included, ok := settings["connector.class"]
	// The class in the URL may be an alias of connector.class or, as in Kafka Connect, its end, with or without
	// Connector.
	isAlias := err == nil && unknown == nil && requested == c.Class.Component.Name
	isEnd := strings.HasSuffix(strings.TrimSuffix(included, "Connector"), strings.TrimSuffix(class, "Connector"))
	if ok && !isAlias && !isEnd {
		return nil, &rest.Refusal{Status: http.StatusBadRequest,
			Message: "Included connector type " + included + " does not match request type " + class}
	}
	if err != nil {
		return nil, asServerError(err)
	}
	c = c.WithProblems(slices.Concat(c.Problems, change.MisdirectedSecrets()))
	if b.canContactService(ctx, c) {
		checker.Logon = logon || change.HasCompleteCredentials()
		checker.Wait = check.OnlineTimeout
		checker.LimitWait = check.FormLimitWait
		if logon {
			checker.LimitWait = check.LogonLimitWait
		}
	}
	validation, err := checker.Validate(ctx, c)
	if ctx.Err() != nil {
		return nil, timeoutError(ctx)
	}
	return validation, err
}

// timeoutError returns the error of a check that was cut short, in Kafka Connect's words: its result does not count.
func timeoutError(ctx context.Context) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	return &rest.Refusal{Status: http.StatusInternalServerError, Message: "Request timed out. The worker is " +
		"currently checking the configuration; this request had no effect"}
}

// canContactService reports whether a service may be called about a configuration in a request. A user who may only
// read must not cause requests in the worker's name: the configuration contains their address, and its references are
// resolved. Nothing is sent either if a secret cannot be resolved, or would be sent to another address.
func (b *Backend) canContactService(ctx context.Context, c *resolved.Connector) bool {
	return !b.Worker.Boolean("rest.read.only") && rest.ReadOnlyReason(ctx) == "" && c.Problems.Err() == nil
}

func (b *Backend) definitions(ctx context.Context, class string, pluginVersion *string) ([]check.Definition, error) {
	if err := b.Parts.Get().Plugins.Loaded(ctx); err != nil {
		return nil, err
	}
	return b.checker().Definitions(class, pluginVersion, buildinfo.REST())
}

// checkClassSetting rejects a class that is an unresolvable reference: nothing else can be checked.
func checkClassSetting(c *resolved.Connector) error {
	for _, p := range c.Problems {
		if p.Setting == "connector.class" && !p.Warning {
			return &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(check.Message(p))}
		}
	}
	return nil
}

// checkClass rejects a configuration whose class is missing or unknown.
func checkClass(c *resolved.Connector) error {
	if _, ok := c.Entry(resolved.ClassSetting); !ok {
		return &rest.Refusal{Status: http.StatusBadRequest,
			Message: "Connector config contains no connector type: expected connector.class"}
	}
	if err := c.Class.Err; err != nil {
		return &rest.Refusal{Status: http.StatusBadRequest, Message: "Failed to find any class that implements " +
			"Connector and which name matches " + c.Class.Class + ": " + err.Error()}
	}
	return nil
}

// asServerError returns a refusal with the status that Kafka Connect's validate gives it.
func asServerError(err error) error {
	var r *rest.Refusal
	if errors.As(err, &r) {
		return &rest.Refusal{Status: http.StatusInternalServerError, Message: r.Message}
	}
	return err
}

// restoreMasked returns a configuration with masked values replaced by the stored ones. It rejects more settings than a
// file may contain, because each makes the check take longer.
func (b *Backend) restoreMasked(settings map[string]string) (*resolved.Connector, error) {
	if n := len(settings); n > config.MaxSettings {
		return nil, &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(fmt.Sprintf("expected at most "+
			"%d settings, found %d", config.MaxSettings, n))}
	}
	running, _ := b.herder().RunningConfig(setting.Trim(settings["name"]))
	settings, err := config.RestoreMasked(settings, running.Raw)
	if err != nil {
		return nil, &rest.Refusal{Status: http.StatusBadRequest, Message: err.Error()}
	}
	if running.Config != nil && running.Config.InitialState != nil {
		delete(settings, config.InitialStateKey) // the console sends the text of the connector's file
	}
	var stored *config.Connector
	if running.Config != nil {
		stored = running.Config.Connector
	}
	c := config.NewRESTConnector("the request", settings, stored, b.Worker.Providers)
	if c.Text("name") == "" { // else it would have the name of the request
		c.Name = ""
	}
	return b.checker().Resolver().Resolve(c), nil
}

// checker returns a checker for one check, which sees the connectors of this moment.
func (b *Backend) checker() *check.Checker {
	parts := b.Parts.Get()
	checker := *b.Checker
	checker.Lockouts = b.Lockouts
	checker.Version = buildinfo.REST()
	if parts.Reloader != nil {
		checker.Connectors = parts.Reloader.Connectors()
	}
	return &checker
}

// Check checks a configuration offline.
func (b *Backend) Check(ctx context.Context, c *resolved.Connector) config.Problems {
	return b.checker().Check(ctx, c)
}

package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"

	"github.com/culvert-project/culvert/host/chaintest"
	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/host/shown"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Sample has the next rows of a connector kept.
func (w worker) Sample(name string, asked rest.SampleAsked) (rest.Sample, error) {
	if _, err := w.herder().RunningConfig(name); err != nil {
		return rest.Sample{}, err
	}
	return w.host.samples.Ask(name, asked)
}

// configured is a connector's configuration as it runs.
func (w worker) configured(name string) (*config.Connector, error) {
	now, err := w.herder().RunningConfig(name)
	if err == nil && now.Config == nil {
		err = &rest.Refusal{Status: http.StatusConflict, Message: "The configuration of connector " + name +
			" is not known momentarily"}
	}
	return now.Config, err
}

// chainOf is the chain of a configuration.
func (w worker) chainOf(c *config.Connector) chaintest.Chain {
	return chaintest.ChainOf(w.host.now().plugins, c)
}

// Sampled is a sample with what the transforms of settings make of its rows, nil for those of the connector.
func (w worker) Sampled(ctx context.Context, name, id string, settings map[string]string) (rest.Sample, error) {
	c, err := w.chained(ctx, name, settings)
	if err != nil {
		return rest.Sample{}, err
	}
	defer runtime.KeepAlive(c) // what it was given is struck for as long as it is used
	if settings != nil {
		return w.host.samples.Try(ctx, name, id, w.chainOf(c))
	}
	return w.host.samples.Get(ctx, name, id, w.chainOf(c))
}

// SampledTest is a file of tests with the rows of such a sample. References stand in it as they were written.
func (w worker) SampledTest(ctx context.Context, name, id string, settings map[string]string) ([]byte, error) {
	c, err := w.chained(ctx, name, settings)
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	written, password := map[string]string{}, w.Passwords()
	for _, e := range c.Entries {
		if e.Key == "name" || !chaintest.OfChain(e.Key) {
			continue
		}
		if password(e.Key) && !e.Value.Secret() && setting.Trim(e.Raw) != "" {
			return nil, &rest.Refusal{Status: http.StatusConflict, Message: "No test is made of the sample: " + e.Key +
				" is a password; write it as a reference to a config provider, which the test names, too"}
		}
		written[e.Key] = e.Raw
	}
	return w.host.samples.File(ctx, name, id, w.chainOf(c), written)
}

// chained is a configuration with the transforms of settings, or, where these are nil, what the connector runs with.
func (w worker) chained(ctx context.Context, name string, settings map[string]string) (*config.Connector, error) {
	if settings == nil {
		return w.configured(name)
	}
	given := maps.Clone(settings)
	maps.DeleteFunc(given, func(key, _ string) bool { return !chaintest.OfChain(key) })
	given["name"] = name
	c, err := w.brought(given)
	if err != nil {
		return nil, err
	}
	if w.host.in.Worker.Boolean("rest.read.only") {
		for _, e := range c.Entries {
			if e.FromREST && e.Value.Secret() {
				return nil, &rest.Refusal{Status: http.StatusForbidden, Message: e.Key +
					": REST is for reading alone (rest.read.only=true), and follows no reference that the " +
					"connector does not have"}
			}
		}
	}
	problems := append(c.Problems, w.sent(w.host.checking(), c, given).MisdirectedSecrets()...)
	if problems.Err() == nil {
		problems = append(problems, w.host.checking().Stages(ctx, c)...)
	}
	var wrong []string
	for _, p := range problems {
		if !p.Warning {
			wrong = append(wrong, check.Told(p))
		}
	}
	if len(wrong) > 0 {
		return nil, &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(wrong...)}
	}
	return c, nil
}

// tool opens the plugin of a connector for its commands.
func (w worker) tool(ctx context.Context, c *config.Connector) (*check.Tool, []wit.Command, error) {
	tool, err := check.OpenTool(ctx, w.host.now().plugins, w.host.in.Worker, c, w.host.lockouts, w.host.log)
	if err != nil {
		return nil, nil, &rest.Refusal{Status: http.StatusConflict, Message: "Connector " + c.Name + ": " + err.Error()}
	}
	tool.Once() // somebody waits for the answer
	tool.OnlyRead()
	commands, err := tool.Commands(ctx)
	if err != nil {
		tool.Close()
	}
	return tool, commands, err
}

// changing lists commands of plugins that change something at the service, some by GET. REST neither lists nor runs
// them.
var changing = []string{"retire", "delete-subscription"}

// Tools returns the commands of a connector's plugin that only read.
func (w worker) Tools(ctx context.Context, name string) ([]rest.Tool, error) {
	c, err := w.configured(name)
	if err != nil {
		return nil, err
	}
	tool, commands, err := w.tool(ctx, c)
	if err != nil {
		return nil, err
	}
	defer tool.Close()
	all := []rest.Tool{}
	for _, command := range commands {
		if slices.Contains(changing, command.Name) {
			continue
		}
		t := rest.Tool{Name: command.Name, Usage: shown.Line(command.Usage), Options: []rest.ToolOption{}}
		for _, o := range command.Options {
			t.Options = append(t.Options, rest.ToolOption{Name: o.Name, Type: check.KindName(o.Kind),
				Default: o.DefaultValue, Required: setting.IsRequired(&o), Usage: shown.Line(o.Documentation)})
		}
		all = append(all, t)
	}
	return all, nil
}

// RunTool runs a command of a connector's plugin that only reads, as a check may ask a service.
func (w worker) RunTool(ctx context.Context, name, command string, asked rest.ToolAsked) (a rest.ToolAnswer,
	err error) {
	c, err := w.configured(name)
	if err != nil {
		return a, err
	}
	defer runtime.KeepAlive(c)
	refuse := func(status int, message string) (rest.ToolAnswer, error) {
		return a, &rest.Refusal{Status: status, Message: message}
	}
	asking, cancel := context.WithTimeout(ctx, check.OnlineTime)
	defer cancel()
	tool, commands, err := w.tool(asking, c)
	if err != nil {
		return a, err
	}
	defer tool.Close()
	i := slices.IndexFunc(commands, func(o wit.Command) bool { return o.Name == command })
	if i < 0 {
		return refuse(http.StatusNotFound, "The plugin of connector "+name+" has no command "+command)
	}
	options, err := check.Options(commands[i], asked.Options)
	if err != nil {
		return refuse(http.StatusBadRequest, shown.Line(err.Error()))
	}
	if slices.Contains(changing, command) {
		return refuse(http.StatusConflict, check.ErrChanges.Error()+": run it by culvert "+command)
	}
	reply, err := tool.Run(asking, command, options)
	var fault *wit.Error
	switch {
	case err != nil && ctx.Err() == nil && asking.Err() != nil:
		return refuse(http.StatusGatewayTimeout, fmt.Sprintf("no answer within %v: %s", check.OnlineTime,
			shown.Line(err.Error())))
	case errors.Is(err, check.ErrChanges):
		return refuse(http.StatusConflict, shown.Line(err.Error())+": run it by culvert "+command)
	case errors.As(err, &fault) && fault.Kind == wit.ErrorConfig:
		return refuse(http.StatusBadRequest, shown.Line(err.Error()))
	case err != nil:
		return refuse(http.StatusBadGateway, shown.Line(err.Error()))
	case reply.Schemas != nil:
		a.Schemas, err = convert.RenderSchemas(ctx, *reply.Schemas, convert.SchemaFormats[0])
		return a, err
	}
	a.Document = json.RawMessage(*reply.Document)
	return a, nil
}

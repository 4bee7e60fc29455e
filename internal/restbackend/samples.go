package restbackend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"

	"github.com/culvert-project/culvert/internal/chaintest"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

func (b *Backend) startSample(name string, request rest.SampleRequest) (rest.Sample, error) {
	if _, err := b.herder().RunningConfig(name); err != nil {
		return rest.Sample{}, err
	}
	return b.Samples.Ask(name, request)
}

func (b *Backend) configured(name string) (*config.Connector, error) {
	now, err := b.herder().RunningConfig(name)
	if err == nil && now.Config == nil {
		err = &rest.Refusal{Status: http.StatusConflict, Message: "The configuration of connector " + name +
			" is not known momentarily"}
	}
	return now.Config, err
}

func (b *Backend) chainOf(c *config.Connector) chaintest.Chain {
	return chaintest.ChainOf(b.Parts().Plugins, c)
}

func (b *Backend) sample(ctx context.Context, name, id string, settings map[string]string) (rest.Sample, error) {
	c, err := b.chained(ctx, name, settings)
	if err != nil {
		return rest.Sample{}, err
	}
	defer runtime.KeepAlive(c) // its secrets are redacted for as long as it is used
	if settings != nil {
		return b.Samples.Try(ctx, name, id, b.chainOf(c))
	}
	return b.Samples.Get(ctx, name, id, b.chainOf(c))
}

// sampleTest returns a file of tests in which references are not resolved.
func (b *Backend) sampleTest(ctx context.Context, name, id string, settings map[string]string) ([]byte, error) {
	c, err := b.chained(ctx, name, settings)
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	written, password := map[string]string{}, b.passwords()
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
	return b.Samples.File(ctx, name, id, b.chainOf(c), written)
}

// chained returns the configuration with the transforms of settings, nil for those of the connector.
func (b *Backend) chained(ctx context.Context, name string, settings map[string]string) (*config.Connector, error) {
	if settings == nil {
		return b.configured(name)
	}
	request := maps.Clone(settings)
	maps.DeleteFunc(request, func(key, _ string) bool { return !chaintest.OfChain(key) })
	request["name"] = name
	c, err := b.unmasked(request)
	if err != nil {
		return nil, err
	}
	if b.Worker.Boolean("rest.read.only") {
		for _, e := range c.Entries {
			if e.FromREST && e.Value.Secret() {
				return nil, &rest.Refusal{Status: http.StatusForbidden, Message: e.Key +
					": REST is for reading alone (rest.read.only=true), and follows no reference that the " +
					"connector does not have"}
			}
		}
	}
	problems := append(c.Problems, b.changes().Change(b.checker(), c, request).MisdirectedSecrets()...)
	if problems.Err() == nil {
		problems = append(problems, b.checker().CheckStages(ctx, c)...)
	}
	var wrong []string
	for _, p := range problems {
		if !p.Warning {
			wrong = append(wrong, check.Message(p))
		}
	}
	if len(wrong) > 0 {
		return nil, &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(wrong...)}
	}
	return c, nil
}

func (b *Backend) openTool(ctx context.Context, c *config.Connector) (*check.Tool, []wit.Command, error) {
	tool, err := check.OpenTool(ctx, b.Parts().Plugins, b.Worker, c, b.Lockouts, b.Log)
	if err != nil {
		return nil, nil, &rest.Refusal{Status: http.StatusConflict, Message: "Connector " + c.Name + ": " + err.Error()}
	}
	tool.DisableRetries() // a user waits for the answer
	tool.SetReadOnly()
	commands, err := tool.Commands(ctx)
	if err != nil {
		tool.Close()
	}
	return tool, commands, err
}

// changingCommands change something at the service, some by GET. REST neither lists nor runs them.
var changingCommands = []string{"retire", "delete-subscription"}

func (b *Backend) commands(ctx context.Context, name string) ([]rest.Tool, error) {
	c, err := b.configured(name)
	if err != nil {
		return nil, err
	}
	tool, commands, err := b.openTool(ctx, c)
	if err != nil {
		return nil, err
	}
	defer tool.Close()
	all := []rest.Tool{}
	for _, command := range commands {
		if slices.Contains(changingCommands, command.Name) {
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

func (b *Backend) runCommand(ctx context.Context, name, command string, request rest.ToolRequest) (a rest.ToolAnswer,
	err error) {
	c, err := b.configured(name)
	if err != nil {
		return a, err
	}
	defer runtime.KeepAlive(c)
	refuse := func(status int, message string) (rest.ToolAnswer, error) {
		return a, &rest.Refusal{Status: status, Message: message}
	}
	asking, cancel := context.WithTimeout(ctx, check.OnlineTimeout)
	defer cancel()
	tool, commands, err := b.openTool(asking, c)
	if err != nil {
		return a, err
	}
	defer tool.Close()
	i := slices.IndexFunc(commands, func(o wit.Command) bool { return o.Name == command })
	if i < 0 {
		return refuse(http.StatusNotFound, "The plugin of connector "+name+" has no command "+command)
	}
	options, err := check.Options(commands[i], request.Options)
	if err != nil {
		return refuse(http.StatusBadRequest, shown.Line(err.Error()))
	}
	if slices.Contains(changingCommands, command) {
		return refuse(http.StatusConflict, check.ErrNotReadOnly.Error()+": run it by culvert "+command)
	}
	reply, err := tool.Run(asking, command, options)
	var fault *wit.Error
	switch {
	case err != nil && ctx.Err() == nil && asking.Err() != nil:
		return refuse(http.StatusGatewayTimeout, fmt.Sprintf("no answer within %v: %s", check.OnlineTimeout,
			shown.Line(err.Error())))
	case errors.Is(err, check.ErrNotReadOnly):
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

package restbackend

import (
	"cmp"
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
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

func (b *Backend) startSample(name string, request rest.SampleRequest) (rest.Sample, error) {
	if _, err := b.herder().RunningConfig(name); err != nil {
		return rest.Sample{}, err
	}
	return b.Samples.Start(name, request)
}

func (b *Backend) runningConfig(name string) (*resolved.Connector, error) {
	running, err := b.herder().RunningConfig(name)
	if err == nil && running.Config == nil {
		err = &rest.Refusal{Status: http.StatusConflict, Message: "The configuration of connector " + name +
			" is not known momentarily"}
	}
	return running.Config, err
}

func (b *Backend) chainOf(c *resolved.Connector) chaintest.Chain {
	return chaintest.ChainOf(c)
}

func (b *Backend) readSample(ctx context.Context, name, id string, settings map[string]string) (rest.Sample, error) {
	c, err := b.withChain(ctx, name, settings)
	if err != nil {
		return rest.Sample{}, err
	}
	defer runtime.KeepAlive(c) // its secrets are redacted for as long as it is used
	if settings != nil {
		return b.Samples.ReadWithChain(ctx, name, id, b.chainOf(c))
	}
	return b.Samples.Read(ctx, name, id, b.chainOf(c))
}

// sampleTest returns a file of tests in which references are not resolved.
func (b *Backend) sampleTest(ctx context.Context, name, id string, settings map[string]string) ([]byte, error) {
	c, err := b.withChain(ctx, name, settings)
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	testSettings := map[string]string{}
	isPassword := b.passwords()
	for _, e := range c.Entries {
		if e.Key == "name" || !chaintest.OfChain(e.Key) {
			continue
		}
		if isPassword(e.Key) && !e.Value.IsSecret() && setting.Trim(e.Raw) != "" {
			return nil, &rest.Refusal{Status: http.StatusConflict, Message: "Cannot create a test from the sample: " +
				e.Key + " is a password; write it as a reference to a config provider, which the test then contains " +
				"too"}
		}
		testSettings[e.Key] = e.Raw
	}
	return b.Samples.TestFile(ctx, name, id, b.chainOf(c), testSettings)
}

// withChain returns a connector's configuration with the transforms of settings. Nil means its own transforms.
func (b *Backend) withChain(ctx context.Context, name string, settings map[string]string) (*resolved.Connector, error) {
	if settings == nil {
		return b.runningConfig(name)
	}
	chain := maps.Clone(settings)
	maps.DeleteFunc(chain, func(key, _ string) bool { return !chaintest.OfChain(key) })
	chain["name"] = name
	c, err := b.restoreMasked(chain)
	if err != nil {
		return nil, err
	}
	if b.Worker.Boolean("rest.read.only") {
		for _, e := range c.Entries {
			if e.FromREST && e.Value.IsSecret() {
				return nil, &rest.Refusal{Status: http.StatusForbidden, Message: e.Key +
					": REST is read-only (rest.read.only=true) and resolves only references that the connector " +
					"already has"}
			}
		}
	}
	problems := b.secretProblems(c, chain)
	if problems.Err() == nil {
		problems = append(problems, b.checker().CheckStages(ctx, c)...)
	}
	return c, refusalOf(problems)
}

// secretProblems returns the problems of a received configuration: secrets that cannot be resolved, and stored secrets
// that would be sent elsewhere.
func (b *Backend) secretProblems(c *resolved.Connector, received map[string]string) config.Problems {
	return slices.Concat(c.Problems, b.changes().Change(c, received).MisdirectedSecrets())
}

// refusalOf returns an error with the problems that are no warnings, nil if there are none.
func refusalOf(problems config.Problems) error {
	var messages []string
	for _, p := range problems {
		if !p.Warning {
			messages = append(messages, check.Message(p))
		}
	}
	if len(messages) == 0 {
		return nil
	}
	return &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(messages...)}
}

func (b *Backend) openTool(ctx context.Context, c *resolved.Connector) (*check.Tool, []wit.Command, error) {
	tool, err := check.OpenTool(ctx, c, b.Lockouts, b.Log)
	if err != nil {
		return nil, nil, &rest.Refusal{Status: http.StatusConflict, Message: "Connector " +
			cmp.Or(c.Name, "without a name") + ": " + err.Error()}
	}
	tool.DisableRetries() // a user waits for the answer
	tool.SetReadOnly()
	commands, err := tool.Commands(ctx)
	if err != nil {
		tool.Close()
	}
	return tool, commands, err
}

func (b *Backend) commands(ctx context.Context, name string) ([]rest.Tool, error) {
	c, err := b.runningConfig(name)
	if err != nil {
		return nil, err
	}
	tool, commands, err := b.openTool(ctx, c)
	if err != nil {
		return nil, err
	}
	defer tool.Close()
	tools := []rest.Tool{}
	for _, command := range commands {
		if command.Changes {
			continue
		}
		t := rest.Tool{Name: command.Name, Usage: shown.Line(command.Usage), Options: []rest.ToolOption{}}
		for _, o := range command.Options {
			t.Options = append(t.Options, rest.ToolOption{Name: o.Name, Type: check.KindName(o.Kind),
				Default: o.DefaultValue, Required: setting.IsRequired(&o), Usage: shown.Line(o.Documentation)})
		}
		tools = append(tools, t)
	}
	return tools, nil
}

func (b *Backend) runCommand(ctx context.Context, name, command string,
	request rest.ToolRequest) (answer rest.ToolAnswer, err error) {
	c, err := b.runningConfig(name)
	if err != nil {
		return answer, err
	}
	return b.runCommandOf(ctx, c, command, request)
}

// peek runs the command peek with a received configuration.
func (b *Backend) peek(ctx context.Context, settings map[string]string,
	request rest.ToolRequest) (answer rest.ToolAnswer, err error) {
	if err := b.Parts.Get().Plugins.Loaded(ctx); err != nil {
		return answer, err
	}
	c, err := b.restoreMasked(settings)
	if err == nil {
		err = refusalOf(b.secretProblems(c, settings))
	}
	if err != nil {
		return answer, err
	}
	return b.runCommandOf(ctx, c, rest.PeekCommand, request)
}

// runCommandOf runs a command of the plugin of a configuration.
func (b *Backend) runCommandOf(ctx context.Context, c *resolved.Connector, command string,
	request rest.ToolRequest) (answer rest.ToolAnswer, err error) {
	defer runtime.KeepAlive(c)
	reject := func(status int, message string) (rest.ToolAnswer, error) {
		return answer, &rest.Refusal{Status: status, Message: message}
	}
	commandContext, cancel := context.WithTimeout(ctx, check.OnlineTimeout)
	defer cancel()
	tool, commands, err := b.openTool(commandContext, c)
	if err != nil {
		return answer, err
	}
	defer tool.Close()
	i := slices.IndexFunc(commands, func(o wit.Command) bool { return o.Name == command })
	if i < 0 {
		return reject(http.StatusNotFound, "The plugin of connector "+c.Name+" has no command "+command)
	}
	if commands[i].Changes {
		return reject(http.StatusConflict, check.ErrNotReadOnly.Error()+": run it by culvert "+command)
	}
	options, err := check.Options(commands[i], request.Options)
	if err != nil {
		return reject(http.StatusBadRequest, shown.Line(err.Error()))
	}
	reply, err := tool.Run(commandContext, command, options)
	var failure *wit.Error
	switch {
	case err != nil && ctx.Err() == nil && commandContext.Err() != nil:
		return reject(http.StatusGatewayTimeout, fmt.Sprintf("no answer within %v: %s", check.OnlineTimeout,
			shown.Line(err.Error())))
	case errors.Is(err, check.ErrNotReadOnly):
		return reject(http.StatusConflict, shown.Line(err.Error())+": run it by culvert "+command)
	case errors.As(err, &failure) && failure.Kind == wit.ErrorConfig:
		return reject(http.StatusBadRequest, shown.Line(err.Error()))
	case err != nil:
		return reject(http.StatusBadGateway, shown.Line(err.Error()))
	case reply.Schemas != nil:
		defaultFormat := convert.SchemaFormats[0]
		answer.Schemas, err = convert.RenderSchemas(ctx, *reply.Schemas, defaultFormat)
		return answer, err
	}
	answer.Document = json.RawMessage(*reply.Document)
	return answer, nil
}

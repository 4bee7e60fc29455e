package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"

	"github.com/culvert-project/culvert/host/chaintest"
	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/internal/sampling"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/host/shown"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Sample has the next rows of a connector kept.
func (w worker) Sample(name string, asked rest.SampleAsked) (rest.Sample, error) {
	if _, err := w.herder().NowOf(name); err != nil {
		return rest.Sample{}, err
	}
	return w.host.samples.Ask(name, asked)
}

// SampleShows is how the rows of a sample may be shown.
func (w worker) SampleShows(name, id string) (string, error) {
	if _, err := w.herder().NowOf(name); err != nil {
		return "", err
	}
	return w.host.samples.Show(name, id)
}

// configured is a connector's configuration as it runs.
func (w worker) configured(name string) (*config.Connector, error) {
	now, err := w.herder().NowOf(name)
	if err == nil && now.Given == nil {
		err = &rest.Refusal{Status: http.StatusConflict, Message: "The configuration of connector " + name +
			" is not known momentarily"}
	}
	return now.Given, err
}

// chainOf is the chain of a configuration.
func (w worker) chainOf(c *config.Connector) sampling.Chain {
	plugins := w.host.now().plugins
	stages, err := connect.Stages(plugins, c, nil)
	return sampling.Chain{Plugins: plugins, Stages: stages, Broken: err}
}

// Sampled is a sample with what the connector's transforms make of its rows.
func (w worker) Sampled(ctx context.Context, name, id string) (rest.Sample, error) {
	c, err := w.configured(name)
	if err != nil {
		return rest.Sample{}, err
	}
	defer runtime.KeepAlive(c) // what it was given is struck for as long as it is used
	return w.host.samples.Get(ctx, name, id, w.chainOf(c))
}

// SampledTest is a file of tests with the rows of a sample. References stand in it as they were written.
func (w worker) SampledTest(ctx context.Context, name, id string) ([]byte, error) {
	c, err := w.configured(name)
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	settings, password := map[string]string{}, w.Passwords()
	for _, e := range c.Entries {
		switch {
		case e.Key == "name" || !chaintest.OfChain(e.Key):
		case password(e.Key) && !e.Value.Secret() && setting.Trim(e.Raw) != "":
			return nil, &rest.Refusal{Status: http.StatusConflict, Message: "No test is made of the sample: " + e.Key +
				" is a password; write it as a reference to a config provider, which the test names, too"}
		default:
			settings[e.Key] = e.Raw
		}
	}
	return w.host.samples.File(ctx, name, id, w.chainOf(c), settings)
}

// Rechained is a sample whose rows went through the transforms of other settings.
func (w worker) Rechained(ctx context.Context, name, id string, settings map[string]string) (rest.Sample, error) {
	settings, err := w.unmasked(name, settings)
	if err != nil {
		return rest.Sample{}, err
	}
	ofChain := map[string]string{"name": name}
	for key, value := range settings {
		if key != "name" && chaintest.OfChain(key) {
			ofChain[key] = value
		}
	}
	c := w.connector("the request", ofChain)
	defer runtime.KeepAlive(c)
	if w.host.in.Worker.Boolean("rest.read.only") {
		for _, e := range c.Entries {
			if e.Brought && e.Value.Secret() {
				return rest.Sample{}, &rest.Refusal{Status: http.StatusForbidden, Message: e.Key +
					": REST is for reading alone (rest.read.only=true), and follows no reference that the " +
					"connector does not have"}
			}
		}
	}
	problems := c.Problems
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
		return rest.Sample{}, &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(wrong...)}
	}
	return w.host.samples.Try(ctx, name, id, w.chainOf(c))
}

// tool opens the plugin of a connector for its commands, which are none where the tool is nil.
func (w worker) tool(ctx context.Context, c *config.Connector) (*check.Tool, []wit.Command, error) {
	plugins := w.host.now().plugins
	conflict := func(err error) (*check.Tool, []wit.Command, error) {
		return nil, nil, &rest.Refusal{Status: http.StatusConflict, Message: "Connector " + c.Name + ": " + err.Error()}
	}
	info, _, err := check.Find(plugins, c.Text("connector.class"), c.Text("connector.plugin.version"),
		wit.ComponentSource, wit.ComponentSink)
	switch {
	case err != nil:
		return conflict(err)
	case !info.Has(wit.InterfaceTools):
		return nil, nil, nil
	}
	tool, err := check.OpenTool(ctx, plugins, w.host.in.Worker, c, w.host.lockouts, w.host.log)
	if err != nil {
		return conflict(err)
	}
	tool.Once() // somebody waits for the answer
	commands, err := tool.Commands(ctx)
	if err != nil {
		tool.Close()
		return nil, nil, err
	}
	return tool, commands, nil
}

// Tools are the commands of a connector's plugin.
func (w worker) Tools(ctx context.Context, name string) ([]rest.Tool, error) {
	c, err := w.configured(name)
	if err != nil {
		return nil, err
	}
	tool, commands, err := w.tool(ctx, c)
	if tool != nil {
		tool.Close()
	}
	all := []rest.Tool{}
	for _, command := range commands {
		t := rest.Tool{Name: command.Name, Usage: shown.Line(command.Usage), Options: []rest.ToolOption{}}
		for _, o := range command.Options {
			t.Options = append(t.Options, rest.ToolOption{Name: o.Name, Type: check.KindName(o.Kind),
				Default:  o.DefaultValue,
				Required: slices.ContainsFunc(o.Rules, func(r wit.Rule) bool { return r.Required != nil }),
				Usage:    shown.Line(o.Documentation)})
		}
		all = append(all, t)
	}
	return all, err
}

// RunTool runs a command of a connector's plugin, as a check may ask a service: not where REST is for reading alone.
func (w worker) RunTool(ctx context.Context, name, command string, asked rest.ToolAsked,
	show string) (answer rest.ToolAnswer, err error) {
	c, err := w.configured(name)
	if err != nil {
		return answer, err
	}
	defer runtime.KeepAlive(c)
	if c.Problems.Err() == nil && !w.mayAsk(ctx, c) {
		return answer, &rest.Refusal{Status: http.StatusForbidden, Message: "REST is for reading alone " +
			"(rest.read.only=true): no service is asked"}
	}
	if command == "retire" { // which would take away what tasks are reading
		return answer, &rest.Refusal{Status: http.StatusConflict,
			Message: "Expected the connector to be STOPPED, and PUT /culvert/connectors/" + name +
				"/retire, which ends what it has opened"}
	}
	asking, cancel := context.WithTimeout(ctx, check.OnlineTime)
	defer cancel()
	tool, commands, err := w.tool(asking, c)
	if err != nil {
		return answer, err
	}
	if tool != nil {
		defer tool.Close()
	}
	i := slices.IndexFunc(commands, func(o wit.Command) bool { return o.Name == command })
	if i < 0 {
		return answer, &rest.Refusal{Status: http.StatusNotFound, Message: "The plugin of connector " + name +
			" has no command " + command}
	}
	options, err := check.Options(commands[i], asked.Options)
	if err != nil {
		return answer, &rest.Refusal{Status: http.StatusBadRequest, Message: shown.Line(err.Error())}
	}
	reply, err := tool.Run(asking, command, options)
	if err != nil {
		return answer, toolFault(ctx, asking, err)
	}
	if reply.Schemas != nil {
		answer.Schemas, err = convert.RenderSchemas(ctx, *reply.Schemas, convert.SchemaFormats[0])
		return answer, err
	}
	return w.answered(ctx, c, []byte(*reply.Document), asked.Chain, show)
}

// toolFault is how REST answers a command that has failed.
func toolFault(ctx, asking context.Context, err error) error {
	var fault *wit.Fault
	switch {
	case ctx.Err() == nil && errors.Is(asking.Err(), context.DeadlineExceeded):
		return &rest.Refusal{Status: http.StatusGatewayTimeout,
			Message: fmt.Sprintf("no answer within %v: %s", check.OnlineTime, shown.Line(err.Error()))}
	case errors.As(err, &fault) && fault.Kind == wit.FaultConfig:
		return &rest.Refusal{Status: http.StatusBadRequest, Message: shown.Line(err.Error())}
	}
	return &rest.Refusal{Status: http.StatusBadGateway, Message: shown.Line(err.Error())}
}

// answered is the document of a command, which may have rows.
func (w worker) answered(ctx context.Context, c *config.Connector, document []byte, chain bool,
	show string) (answer rest.ToolAnswer, err error) {
	answer.Document = document
	if show == sampling.Shape {
		answer.Document = sampling.Shaped(document)
	}
	if !chain {
		return answer, nil
	}
	var found struct{ Rows []json.RawMessage }
	if err := json.Unmarshal(document, &found); err != nil {
		return answer, fmt.Errorf("expected a document with rows: %w", err)
	}
	sample, err := w.host.samples.Keep(ctx, c.Name, "peek", show, "the command answers values without schemas, and "+
		"neither keys nor the topic: transforms may make something else of the connector's own rows", found.Rows,
		w.chainOf(c))
	answer.Document, answer.Sample = nil, &sample
	return answer, err
}

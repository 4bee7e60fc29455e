package console

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/chaintest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/rest"
)

const samplesRoute = "/culvert/connectors/{name}/samples"

type recordsPage struct {
	Head   *connectorHead
	Name   string
	ID     string
	Sample *rest.Sample
	// Samples are the samples that the worker keeps, without rows. Idle has all feeds if no feed is being read.
	Samples       []rest.Sample
	Idle          []feed
	Chain         string // the text of the transforms
	Problem       string // why the transforms or the tool could not run
	Tools         []rest.Tool
	Tool          string // the last command of the plugin
	Answer        string // the result of Tool
	Command       string // the action of the form as a curl command
	SampleCommand string // the curl command that starts a sample
}

func (pr *pageRequest) records() (any, error) {
	p, err := pr.loadRecords(pr.query.Get("name"))
	p.ID = pr.query.Get("sample")
	if err == nil && p.ID != "" {
		err = pr.loadSample(p)
	}
	if err == nil && (p.Sample == nil || len(p.Sample.Rows) == 0) {
		p.Idle = pr.idleFeeds(p.Name)
	}
	return p, err
}

// idleFeeds returns the feeds of a source if all its tasks are idle.
func (pr *pageRequest) idleFeeds(name string) []feed {
	var motion connect.Metrics
	_, err := pr.getOfGroup("GET /culvert/connectors/{name}", url.Values{}, &motion, name)
	isBusy := func(t connect.TaskMetrics) bool { return t.Progress == nil || t.State != connect.ConditionIdle }
	if err != nil || slices.ContainsFunc(motion.Tasks, isBusy) {
		return nil
	}
	return feedsOf(&motion)
}

func (pr *pageRequest) loadRecords(name string) (*recordsPage, error) {
	p := &recordsPage{Name: name, SampleCommand: pr.curl("POST "+samplesRoute, rest.SampleRequest{Rows: 20}, name)}
	var err error
	if p.Head, err = pr.head(name, "records"); err != nil {
		return p, err
	}
	text := "" // properties, in which passwords are hidden
	if err := pr.get("GET /connectors/{name}/config", &text, name); err != nil {
		return p, err
	}
	settings, _ := settingsOf(text)
	maps.DeleteFunc(settings, func(key, _ string) bool { return !isChainSetting(key) })
	p.Chain, err = config.Edit("", settings)
	if !pr.isScript { // no fragment has tools and samples
		_ = pr.get("GET /culvert/connectors/{name}/tools", &p.Tools, name) // a plugin may have no tools
		_ = pr.get("GET "+samplesRoute, &p.Samples, name)                  // the user may not see them
	}
	return p, err
}

func (pr *pageRequest) loadSample(p *recordsPage) error {
	p.Sample = &rest.Sample{}
	err := pr.get("GET /culvert/connectors/{name}/samples/{id}", p.Sample, p.Name, p.ID)
	truncateSample(p.Sample)
	return err
}

func isChainSetting(key string) bool { return key != "name" && chaintest.OfChain(key) }

func (pr *pageRequest) postRecords() (any, error) {
	p, err := pr.loadRecords(pr.formValues.Get("name"))
	if err != nil {
		return nil, err
	}
	switch pr.formValues.Get("step") {
	case "sample":
		return pr.startSample(p)
	case "chain":
		return pr.tryChain(p)
	case "test":
		file := ""
		if !pr.callChain(p, "?as=test", http.Header{"Accept": {"text/yaml, */*"}}, &file) {
			return p, pr.loadSample(p)
		}
		return download{fileName(p.Name) + "_test.yaml", "application/yaml", file}, nil
	case "tool":
		return pr.runTool(p)
	}
	return nil, newRefusal(http.StatusBadRequest, "expected a form of this page")
}

func (pr *pageRequest) startSample(p *recordsPage) (any, error) {
	rows, err := strconv.Atoi(pr.formValues.Get("rows"))
	if err != nil {
		return nil, newRefusal(http.StatusBadRequest, "rows: expected a number, found "+
			strconv.Quote(brief(pr.formValues.Get("rows"))))
	}
	request := rest.SampleRequest{Rows: rows, Show: pr.formValues.Get("show")}
	sample := rest.Sample{}
	_, err = pr.call("POST "+samplesRoute, nil, request, &sample, p.Name)
	return redirect("records?" + pairs("name", p.Name, "sample", sample.ID).Encode()), err
}

func (pr *pageRequest) tryChain(p *recordsPage) (any, error) {
	p.Sample = &rest.Sample{}
	if !pr.callChain(p, "", nil, p.Sample) {
		return p, pr.loadSample(p)
	}
	truncateSample(p.Sample)
	return p, nil
}

// callChain requests the sample with the typed chain. It is false, with a problem on the page, after a failure.
func (pr *pageRequest) callChain(p *recordsPage, query string, header http.Header, response any) (ok bool) {
	p.ID = pr.formValues.Get("sample")
	p.Chain = pr.formValues.Get("chain")
	settings, problem := settingsOf(p.Chain)
	route := "POST /culvert/connectors/{name}/samples/{id}/chain" + query
	body := map[string]any{"config": settings}
	p.Command = pr.curl(route, body, p.Name, p.ID)
	if problem == "" {
		if _, err := pr.call(route, header, body, response, p.Name, p.ID); err != nil {
			problem = err.Error()
		}
	}
	p.Problem = problem
	return problem == ""
}

func (pr *pageRequest) runTool(p *recordsPage) (any, error) {
	if err := pr.mayChange(); err != nil {
		return nil, err
	}
	const route = "POST /culvert/connectors/{name}/tools/{command}"
	p.Tool = pr.formValues.Get("command")
	request := rest.ToolRequest{Options: map[string]string{}}
	for field, values := range pr.formValues {
		if option, ok := strings.CutPrefix(field, "option."); ok && values[0] != "" {
			request.Options[option] = values[0]
		}
	}
	p.Command = pr.curl(route, request, p.Name, p.Tool)
	var answer rest.ToolAnswer
	if _, err := pr.call(route, nil, request, &answer, p.Name, p.Tool); err != nil {
		p.Problem = err.Error()
		return p, nil
	}
	document := answer.Document
	if document == nil {
		document = answer.Schemas
	}
	if document == nil {
		return p, nil
	}
	indented, err := json.MarshalIndent(document, "", "  ")
	p.Answer = string(indented)
	return p, err
}

func settingsOf(text string) (settings map[string]string, problem string) {
	entries, problems := config.Read("text.properties", []byte(text))
	if err := problems.Err(); err != nil {
		return nil, strings.ReplaceAll(err.Error(), "text.properties", "line") // as line:3 instead of a file's name
	}
	settings = map[string]string{}
	for _, e := range entries {
		settings[e.Key] = e.Raw
	}
	return settings, ""
}

func fileName(connector string) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|`, r) || r < ' ' {
			return '_'
		}
		return r
	}, connector)
	return strings.ToValidUTF8(name[:min(len(name), 100)], "")
}

package console

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/host/rest"
)

// action is what a button does: a call of REST for each thing that it is pressed for.
type action struct {
	// route is the call; its names in braces are fields of the form: {name} may be there several times, for a
	// selection.
	route string
	// did is what is said where it went well. sure: the form has to say that it is meant.
	did  string
	sure bool
	// body makes what is sent of the form; nil: nothing is.
	body func(*visit) any
}

// actions are all buttons but those of a configuration and of samples, which have pages of their own.
var actions = map[string]action{
	"pause":        {route: "PUT /connectors/{name}/pause", did: "is to be paused"},
	"resume":       {route: "PUT /connectors/{name}/resume", did: "is to run"},
	"stop":         {route: "PUT /connectors/{name}/stop", did: "is to be stopped"},
	"restart":      {route: "POST /connectors/{name}/restart?includeTasks=true", did: "is restarted, with its tasks"},
	"restart-task": {route: "POST /connectors/{name}/tasks/{task}/restart", did: "has its task restarted"},
	"delete":       {route: "DELETE /connectors/{name}", did: "is deleted; its offsets stay", sure: true},
	"snapshot": {route: "POST /culvert/connectors/{name}/feeds/{feed}/snapshot",
		did: "is to read the feed whole once more"},
	"retire": {route: "PUT /culvert/connectors/{name}/retire", sure: true,
		did: "has ended what it had opened at its service"},
	"reset-offsets": {route: "DELETE /connectors/{name}/offsets", did: "has no offsets any more", sure: true},
	"swap": {route: "PUT /culvert/plugins/{name}/swap", did: "is to run in this version",
		body: func(v *visit) any { return map[string]string{"hash": v.sent.Get("hash")} }},
	"rollback": {route: "PUT /culvert/plugins/{name}/rollback", did: "is to run in the version before"},
	"accept": {route: "PUT /culvert/plugins/{name}/accept", did: "is accepted in this version",
		body: func(v *visit) any { return map[string]string{"hash": v.sent.Get("hash")} }},
	"resume-logons": {route: "PUT /culvert/lockouts/resume", did: "Refused logons are tried once more", sure: true},
	"replay":        {route: "POST /culvert/connectors/{name}/deadletters/replay", body: replayBody},
}

// maxSelected is how many things one button is pressed for.
const maxSelected = 1000

// outcome is what came of an action.
type outcome struct {
	Back    string
	Results []result
	// Failed are how many of them were refused.
	Failed int
}

type result struct {
	Of, Did, Error string
	// Curl is the command that does the same.
	Curl string
	// Replayed is what came of a replay.
	Replayed *rest.Replayed
}

// act does what the form's field do names, for one thing after the other that the form has.
func (v *visit) act() (any, error) {
	do := v.sent.Get("do")
	a, ok := actions[do]
	if !ok {
		return nil, &refusal{404, "There is no such action"}
	}
	o := outcome{Back: back(v.sent.Get("back"))}
	names := v.sent["name"]
	if !strings.Contains(a.route, "{name}") {
		names = []string{""}
	}
	switch {
	case len(names) == 0:
		return nil, &refusal{400, "Nothing was selected: mark one or more, then press the button"}
	case len(names) > maxSelected:
		return nil, &refusal{400, "expected at most " + strconv.Itoa(maxSelected) + " at a time"}
	case a.sure && v.sent.Get("sure") == "":
		return nil, &refusal{400, "This cannot be undone: mark the box beside the button, then press it"}
	case v.Reads != "":
		return nil, &refusal{403, "This console only reads: " + v.Reads}
	}
	for _, name := range names {
		r := v.perform(a, do, name)
		if r.Error != "" {
			o.Failed++
		}
		o.Results = append(o.Results, r)
	}
	v.title = "Done"
	if o.Failed > 0 {
		v.title = "Refused"
	}
	return o, nil
}

func (v *visit) perform(a action, do, name string) result {
	var values []string
	for _, segment := range strings.Split(a.route, "/") {
		segment, _, _ = strings.Cut(segment, "?")
		switch segment {
		case "{name}":
			values = append(values, name)
		case "{task}", "{feed}":
			values = append(values, v.sent.Get(strings.Trim(segment, "{}")))
		}
	}
	r := result{Of: name, Did: a.did}
	var body, into any
	if a.body != nil {
		body = a.body(v)
	}
	if do == "replay" {
		r.Replayed = &rest.Replayed{}
		into = r.Replayed
	}
	r.Curl = curl(v.viewer, a.route, body, values...)
	if _, err := v.call(a.route, nil, body, into, values...); err != nil {
		r.Error, r.Replayed = err.Error(), nil
	}
	return r
}

// replayBody has letters replayed that the form names: none where it names none.
func replayBody(v *visit) any {
	return rest.ReplayAsked{Letters: append([]string{}, v.sent["letter"]...), Dry: v.sent.Get("dry") != ""}
}

// back is where a page leads to that says what was done: a page beside it, and nothing else.
func back(to string) string {
	name, _, _ := strings.Cut(to, "?")
	switch strings.TrimPrefix(name, "./") {
	case "", "connector", "letters", "plugins", "origins":
		return to
	}
	return "./"
}

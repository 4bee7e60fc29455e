// Package checkup is the part of `culvert doctor` that knows OData: does the service answer, is its metadata there,
// does it give tokens for writing, are the entity sets there and answer, can the catalogue of services be read; and if
// not, who mends it where.
//
// A connector's plugin offers it as the command doctor. Without an option it answers with the names of its steps, in
// order; with option step it takes that step and answers whether it went well, which setting mends it if not, and what
// there is to say.
package checkup

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Command is the name under which the host finds the steps.
const Command = "doctor"

// Catalogue is where SAP Gateway lists its services.
const Catalogue = "/sap/opu/odata/IWFND/CATALOGSERVICE;v=2"

const optionStep = "step"

// Service is one that a connector's settings name.
type Service struct {
	// Path has no slash at its end.
	Path string
	// Setting is the one that names it.
	Setting string
	// Written reports whether the connector writes to it, and so needs a token.
	Written bool
	// Sets are the entity sets of it that the settings name.
	Sets []Set
}

// Set is an entity set that a connector reads or writes.
type Set struct {
	// Name as the settings have it, Setting the one that names it.
	Name, Setting string
	// Atom: rows are asked for in Atom, else in JSON.
	Atom bool
	// Find is its address and the options that each request for it needs, by the metadata; nil: it is an entity set,
	// and needs none.
	Find func(*edm.Model) (address, options string, err error)
}

// Declare is the command for a plugin's list.
func Declare() wit.Command {
	return wit.Command{Name: Command, Usage: "Goes through what the connector needs of its " +
		"service, for culvert doctor.",
		Options: []wit.SettingSpec{setting.Spec(optionStep, wit.KindText, wit.Low, nil,
			"One step; without it, the names of all.")}}
}

// Run is the command; query goes with all that it asks.
func Run(services []Service, query uri.Query, options []wit.Setting, answers []wit.Response) (wit.Reply, error) {
	steps := stepsOf(services, query)
	name := ""
	for _, o := range options {
		if o.Name == optionStep {
			name = strings.TrimSpace(o.Value)
		}
	}
	if name == "" {
		names := jsontext.List()
		for _, s := range steps {
			names.Items = append(names.Items, jsontext.Text(s.name))
		}
		return document(names), nil
	}
	for _, s := range steps {
		switch {
		case s.name != name:
		case len(answers) == 0:
			return wit.Reply{Ask: &wit.Need{Requests: []wit.Request{s.request}}}, nil
		case s.then != nil && answers[0].Tag == s.request.Tag:
			next, err := s.then(&answers[0])
			if err != nil {
				s.read = func(*wit.Response) (string, error) { return "", err }
				return document(s.result(&answers[0])), nil
			}
			return wit.Reply{Ask: &wit.Need{Requests: []wit.Request{next}}}, nil
		default:
			return document(s.result(&answers[0])), nil
		}
	}
	return wit.Reply{}, fault.Config(optionStep, "unknown step "+name)
}

func document(v jsontext.Value) wit.Reply {
	return wit.Reply{Document: wit.Ptr(string(jsontext.Append(nil, v)))}
}

// step asks one thing of the service.
type step struct {
	name, setting string
	request       wit.Request
	// then is what is to be asked after a good answer to request; nil: nothing.
	then func(*wit.Response) (wit.Request, error)
	// read says what a good answer holds, or what is wrong with it.
	read func(*wit.Response) (string, error)
	// optional: an answer that is not good is no obstacle.
	optional bool
}

func stepsOf(services []Service, query uri.Query) []step {
	var steps []step
	for _, s := range distinct(services) {
		steps = append(steps,
			step{name: "service " + s.Path, setting: s.Setting, request: get("service", query.On(s.Path+"/")),
				read: readService(s.Path)},
			step{name: "metadata " + s.Path, setting: s.Setting, request: service.MetadataRequest(s.Path, query),
				read: readMetadata(s.Path)})
		if s.Written {
			r := get("csrf", query.On(s.Path+"/"))
			r.TokenFrom = &r.Target
			steps = append(steps, step{name: "csrf " + s.Path, setting: s.Setting, request: r,
				read: readService(s.Path)})
		}
		for _, set := range s.Sets {
			steps = append(steps, stepOf(s, set, query))
		}
	}
	return append(steps, step{name: "catalogue", request: get("catalogue",
		query.On(Catalogue+"/ServiceCollection?$top=1&$format=json")), read: readCatalogue, optional: true})
}

// distinct has every path once; it is written to if any of its settings writes.
func distinct(services []Service) []Service {
	var list []Service
	at := map[string]int{}
	for _, s := range services {
		if i, ok := at[s.Path]; ok {
			list[i].Written = list[i].Written || s.Written
			for _, set := range s.Sets {
				if !slices.ContainsFunc(list[i].Sets, func(known Set) bool { return known.Name == set.Name }) {
					list[i].Sets = append(list[i].Sets, set)
				}
			}
			continue
		}
		at[s.Path] = len(list)
		s.Sets = slices.Clone(s.Sets)
		list = append(list, s)
	}
	return list
}

func get(tag, target string) wit.Request { return service.Get(tag, target, service.DocumentTypes) }

// result is {"ok":…,"setting":…,"message":…}.
func (s *step) result(answer *wit.Response) jsontext.Value {
	message, err := s.read(answer)
	ok, name := err == nil || s.optional, ""
	switch f, is := err.(*wit.Fault); {
	case err == nil:
	case is:
		message = f.Message
		var advice string
		if name, advice = remedy(answer, f); name == "" && !s.optional {
			name = s.setting
		}
		if s.optional {
			message, name = "not readable, which only costs suggestions of services: "+message, ""
		} else if advice != "" {
			message += ". " + advice
		}
	default:
		message, name = err.Error(), s.setting
	}
	return jsontext.Of(jsontext.Member{Name: "ok", Value: jsontext.Bool(ok)},
		jsontext.Member{Name: "setting", Value: jsontext.Text(name)},
		jsontext.Member{Name: "message", Value: jsontext.Text(message)})
}

func readService(path string) func(*wit.Response) (string, error) {
	return func(answer *wit.Response) (string, error) {
		what := "service document of " + path
		if answer.Status < 200 || answer.Status > 299 {
			return "", fault.Of(what, answer, answer.Body)
		}
		names, ok := service.Collections(answer.Body)
		if !ok {
			return "", fault.NotData(what, "a service document", answer.Body)
		}
		return counted(len(names), "entity set"), nil
	}
}

func readMetadata(path string) func(*wit.Response) (string, error) {
	return func(answer *wit.Response) (string, error) {
		m, err := service.ReadMetadata(path, answer)
		if err != nil {
			return "", err
		}
		return counted(len(m.Sets), "entity set") + ", " + counted(len(m.Functions), "function import"), nil
	}
}

func readCatalogue(answer *wit.Response) (string, error) {
	if answer.Status < 200 || answer.Status > 299 {
		return "", fault.Of("catalogue of services", answer, answer.Body)
	}
	v, err := jsontext.Parse(answer.Body)
	if err != nil || !v.Has("d") {
		return "", fault.NotData("catalogue of services", "a list of services", answer.Body)
	}
	return "readable", nil
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}

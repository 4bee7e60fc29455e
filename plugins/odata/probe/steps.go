package probe

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Doctor is the name of the command for `culvert doctor`. Without options, the command returns the names of its steps.
// With the option step, it runs a step and returns the result with the setting that fixes an error.
const Doctor = "doctor"

const optionStep = "step"

// Statuses of HTTP.
const (
	unauthorized   = 401
	notImplemented = 501
)

// Service is a service that a connector uses.
type Service struct {
	Path    string // without a trailing slash
	Setting string // the setting that names the service
	Writes  bool   // the connector writes to it and needs a token
	Sets    []Set

	dialect *edm.Dialect
}

// Set is an entity set that a connector reads or writes.
type Set struct {
	Name    string
	Setting string // the setting that names the set
	Atom    bool   // rows are requested in Atom, not JSON
	// Find returns the set's URL and the options of each request. Nil means that the set has its own name as URL and
	// needs no options.
	Find func(*edm.Model) (address, options string, err error)
}

// DoctorCommand declares the command.
func DoctorCommand() wit.Command {
	return wit.Command{Name: Doctor, Usage: "Checks what the connector needs of its services, for culvert doctor.",
		Options: []wit.ConfigKey{setting.Define(optionStep, wit.KindString, wit.Low, nil,
			"Step to run. Default: returns the names of all steps.")}}
}

// Steps runs the command [Doctor] for the services of a connector.
func Steps(dialect *edm.Dialect, services []Service, query uri.Query, options []wit.Setting, state []byte,
	responses []wit.Response) (wit.CommandResult, error) {
	var steps []step
	for _, target := range mergeByPath(services) {
		target.dialect = dialect
		request := document.ServiceRequest(dialect, target.Path, query)
		steps = append(steps,
			step{name: "service " + target.Path, setting: target.Setting,
				check: checkResponse(request, readService(target.Path))},
			step{name: "metadata " + target.Path, setting: target.Setting,
				check: checkResponse(document.MetadataRequest(dialect, target.Path, query),
					readMetadata(dialect, target.Path))})
		if target.Writes {
			// The same request, with a token, is the step csrf.
			request.TokenPath = wit.Ptr(request.Target)
			steps = append(steps, step{name: "csrf " + target.Path, setting: target.Setting,
				check: checkResponse(request, readService(target.Path))})
		}
		for _, set := range target.Sets {
			steps = append(steps, entitySetStep(target, set, query))
		}
	}
	prober := &Prober{Dialect: dialect}
	newest := &gateways[dialect].catalogues[0]
	request := prober.catalogueRequest(query, newest, "$top=1&"+newest.options)
	check := checkResponse(request, func(response *wit.Response) (string, error) {
		_, err := prober.readPage(newest, request.Target, response)
		return "readable", err
	})
	steps = append(steps, step{name: "catalogue", check: check, optional: true})
	name := ""
	for _, o := range options {
		if o.Name == optionStep {
			name = strings.TrimSpace(o.Value)
		}
	}
	if name == "" {
		names := jsontext.NewArray()
		for _, s := range steps {
			names.Items = append(names.Items, jsontext.NewString(s.name))
		}
		return JSONResult(names), nil
	}
	i := slices.IndexFunc(steps, func(s step) bool { return s.name == name })
	if i < 0 {
		return wit.CommandResult{}, odataerror.ForSetting(optionStep, "unknown step "+name)
	}
	return Run(dialect, state, responses, steps[i].run)
}

type step struct {
	name     string
	setting  string    // the setting that names the service or set, to which errors belong
	check    checkFunc // requests and reads what the step checks
	optional bool      // an error does not fail the step
}

// getFunc returns the response to a request, or [ErrMissing], like [Prober.Get].
type getFunc func(wit.Request) (*wit.Response, error)

// checkFunc requests documents and returns what they contain, for the user.
type checkFunc func(get getFunc) (message string, err error)

// readFunc returns what a response contains, for the user.
type readFunc func(*wit.Response) (message string, err error)

// checkResponse returns a check of the response to one request.
func checkResponse(r wit.Request, read readFunc) checkFunc {
	return func(get getFunc) (string, error) {
		response, err := get(r)
		if err != nil {
			return "", err
		}
		return read(response)
	}
}

// mergeByPath returns each service once, with the sets of all its entries.
func mergeByPath(services []Service) []Service {
	var list []Service
	indexes := map[string]int{}
	for _, svc := range services {
		if i, ok := indexes[svc.Path]; ok {
			list[i].Writes = list[i].Writes || svc.Writes
			for _, set := range svc.Sets {
				if !slices.ContainsFunc(list[i].Sets, func(other Set) bool { return other.Name == set.Name }) {
					list[i].Sets = append(list[i].Sets, set)
				}
			}
			continue
		}
		indexes[svc.Path] = len(list)
		svc.Sets = slices.Clone(svc.Sets)
		list = append(list, svc)
	}
	return list
}

// run returns {"ok":…,"setting":…,"message":…}.
func (s *step) run(p *Prober) (wit.CommandResult, error) {
	var last *wit.Response // the last response that the check used
	message, err := s.check(func(r wit.Request) (*wit.Response, error) {
		response, err := p.Get(r)
		if err == nil {
			last = response
		}
		return response, err
	})
	passed := err == nil || s.optional
	name := ""
	switch failure, ok := err.(*wit.Error); {
	case err == nil:
		// the message is what the check has returned
	case err == ErrMissing:
		return wit.CommandResult{}, err
	case s.optional:
		message = "not readable; only suggestions of services are missing: " + err.Error()
	case ok:
		var advice string
		if name, advice = suggestFix(gateways[p.Dialect], last, failure); name == "" {
			name = s.setting
		}
		message = failure.Message
		if advice != "" {
			message += ". " + advice
		}
	default:
		message = err.Error()
		name = s.setting
	}
	return JSONResult(jsontext.NewObject(jsontext.Member{Name: "ok", Value: jsontext.NewBool(passed)},
		TextMember("setting", name),
		TextMember("message", message))), nil
}

func readService(path string) readFunc {
	return func(response *wit.Response) (string, error) {
		names, err := document.ReadService(path, response)
		return plural(len(names), "entity set"), err
	}
}

func readMetadata(dialect *edm.Dialect, path string) readFunc {
	return func(response *wit.Response) (string, error) {
		m, err := document.ReadMetadata(dialect, path, response)
		if err != nil {
			return "", err
		}
		return plural(len(m.Sets), "entity set") + ", " + plural(len(m.Functions), "function import"), nil
	}
}

func plural(n int, subject string) string {
	if n != 1 {
		subject += "s"
	}
	return strconv.Itoa(n) + " " + subject
}

// entitySetStep returns the step that reads a row of an entity set.
func entitySetStep(svc Service, set Set, query uri.Query) step {
	return step{name: "entityset " + svc.Path + "/" + set.Name, setting: set.Setting,
		check: func(get getFunc) (string, error) {
			response, err := get(document.MetadataRequest(svc.dialect, svc.Path, query))
			if err != nil {
				return "", err
			}
			m, err := document.ReadMetadata(svc.dialect, svc.Path, response)
			if err != nil {
				return "", err
			}
			address, options, err := set.find(m, svc)
			if err != nil {
				return "", err
			}
			entitySet := m.Set(set.Name)
			isSingle := entitySet != nil && entitySet.Singleton
			target := svc.Path + "/" + address
			if !isSingle {
				target += "?" + options + "$top=1"
			}
			accept := "application/atom+xml"
			if !set.Atom {
				accept = svc.dialect.JSON
				if svc.dialect.FormatOption != "" {
					target += "&" + svc.dialect.FormatOption
				}
			}
			if response, err = get(document.Get(svc.dialect, "rows", query.AppendTo(target), accept)); err != nil {
				return "", err
			}
			return readRows(svc, set, isSingle, response)
		}}
}

// find returns the set's URL, and the options of each request with an & at the end.
func (set Set) find(model *edm.Model, s Service) (address, options string, err error) {
	if set.Find == nil {
		entitySet, _, err := document.FindSet(model, s.Path, set.Name, set.Setting)
		if err != nil {
			return "", "", err
		}
		return document.SetAddress(entitySet), "", nil
	}
	if address, options, err = set.Find(model); options != "" {
		options += "&"
	}
	return address, options, err
}

// readRows checks the response to a request for one row, which is no feed if isSingle is true. A sink need not be able
// to read, and a service need not know $top.
func readRows(svc Service, set Set, isSingle bool, response *wit.Response) (string, error) {
	subject := "entity set " + set.Name + " of " + svc.Path
	switch status := response.Status; {
	case status == notImplemented && !svc.Writes:
		return "exists; the service rejects a request for a single row ($top), so reading it was not checked", nil
	case !set.Atom && odataerror.RefusesFormat(response, response.Body):
		return "exists; the service rejects $format, which is not used to read the set", nil
	case !isSuccess(response) && svc.Writes && status >= 400 && status != unauthorized:
		return "exists; it cannot be read, which writing does not require: " +
			odataerror.FromResponse(subject, response, response.Body).Error(), nil
	case !isSuccess(response):
		return "", odataerror.FromResponse(subject, response, response.Body)
	}
	if set.Atom {
		if !bytes.Contains(response.Body, []byte("feed")) || odataerror.IsHTML(response.Body) {
			return "", odataerror.NotData(subject, "an Atom feed", response.Body)
		}
		return "readable", nil
	}
	if v, err := jsontext.Parse(response.Body); err != nil || (!isSingle && !v.Has(svc.dialect.Root)) {
		return "", odataerror.NotData(subject, "rows in JSON", response.Body)
	}
	return "readable", nil
}

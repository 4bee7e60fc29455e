package probe

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Names of the settings that an entity set has, of a source and of a sink.
const (
	nameService   = "service"
	nameEntitySet = "entityset"
	nameTopic     = "topic"
	// groups is how the names of an entity set's settings begin, in front of its number.
	groups = "sap.odata#"
)

// Bounds of a validation online.
const (
	// MaxRecommended is how many values are recommended for one setting, and how many services a catalogue is asked
	// for at a time.
	MaxRecommended = 1000
	// MaxAdvice bounds what is recommended for all settings together, in bytes.
	MaxAdvice = 4 << 20
	// MaxAsked is how many services are asked for their metadata. Entity sets of further ones are checked when the
	// connector starts.
	MaxAsked = 20
)

// Adviser is a validation online in the making. Each call of the plugin goes by all answers that there are and requests
// every document that is missing; it is done when none is.
type Adviser struct {
	Values   setting.Values
	Examined []wit.ConfigValue
	// Reachable: the settings say where the service is.
	Reachable bool

	*Prober
	table *setting.Table
	index map[string]int // in Examined, by name
	// offered are the services of the catalogue that came.
	offered []offer
	paths   map[string]bool // of those
	models  map[string]*edm.Model
	budget  int
}

// Advise is the adviser of settings that were examined offline.
func (p *Prober) Advise(table *setting.Table, given []wit.Setting, examined []wit.ConfigValue) *Adviser {
	v := table.Values(given)
	a := &Adviser{Prober: p, Values: v, table: table, index: map[string]int{}, budget: MaxAdvice}
	for _, e := range examined {
		a.add(e)
	}
	a.Reachable = v.String(config.Address) != "" && v.String(config.Port) != "" || v.String(config.Destination) != ""
	return a
}

// Inquiry is what the validation comes to so far.
func (a *Adviser) Inquiry() wit.ValidateResult {
	if need := a.Need(); need != nil {
		return wit.ValidateResult{Pending: need}
	}
	return wit.ValidateResult{Done: &a.Examined}
}

// Next is the number of the group after the last one of those that begin so, with as many digits; "" after the last
// that there can be, or where that lacks one of the settings that it must have.
func (a *Adviser) Next(all []setting.Group, mandatory ...string) string {
	if len(all) == 0 {
		return "00"
	}
	last := all[len(all)-1]
	if slices.ContainsFunc(mandatory, func(name string) bool { return last.String(name) == "" }) {
		return ""
	}
	return following(last.Digits)
}

// Grow adds settings that nobody has given and that can be given next: those of a further entity set when the one
// before is complete, and more.
func (a *Adviser) Grow(given []wit.Setting, more ...string) {
	if next := a.Next(config.Groups(a.Values), nameService, nameEntitySet, nameTopic); next != "" {
		more = append(more, config.InGroup(next, nameService))
	}
	all := slices.Clone(given)
	for _, name := range more {
		all = append(all, wit.Setting{Name: name})
	}
	for _, e := range a.table.Validate(all) {
		if a.At(e.Key.Name) == nil {
			e.Errors, e.Value = nil, e.Key.DefaultValue
			a.add(e)
		}
	}
}

// Hide takes settings away that have no effect as long as others aren't given. What is given stays to be seen.
func (a *Adviser) Hide(applies func(name string) bool) {
	for i := range a.Examined {
		e := &a.Examined[i]
		if _, given := a.Values.Lookup(e.Key.Name); given || len(e.Errors) > 0 {
			continue
		}
		e.Visible = e.Visible && applies(e.Key.Name)
	}
}

// Applies says what holds for the settings of both connectors.
func (a *Adviser) Applies(name string) bool {
	return !strings.HasPrefix(name, "sap.odata.oauth.") || a.Values.Lower("sap.odata.auth.type") == "oauth2"
}

// offer is a service of the catalogue: its path, and that and its name in lower case.
type offer struct{ path, lower, name string }

// following is the next number of a group, with as many digits; "" after the last.
func following(digits string) string {
	n, err := strconv.Atoi(digits)
	if err != nil || n >= 999 {
		return ""
	}
	next := strconv.Itoa(n + 1)
	return strings.Repeat("0", max(0, len(digits)-len(next))) + next
}

func (a *Adviser) add(e wit.ConfigValue) {
	a.index[e.Key.Name] = len(a.Examined)
	a.Examined = append(a.Examined, e)
}

// At is an examined setting, nil where there is none.
func (a *Adviser) At(name string) *wit.ConfigValue {
	i, ok := a.index[name]
	if !ok {
		return nil
	}
	return &a.Examined[i]
}

// Complain adds an error, once, to a setting that may be known by another name only.
func (a *Adviser) Complain(name, text string) {
	e := a.At(name)
	if e == nil {
		spec, ok := a.table.Find(name)
		if !ok {
			spec.Importance = wit.Low
		}
		spec.Name = name
		a.add(wit.ConfigValue{Key: spec, Visible: true})
		e = a.At(name)
	}
	if !slices.Contains(e.Errors, text) {
		e.Errors = append(e.Errors, text)
	}
}

// Hint says next to a setting what is worth knowing and no error: validation has no other place for it than the
// documentation.
func (a *Adviser) Hint(name, text string) {
	if e := a.At(name); e != nil && !strings.Contains(e.Key.Documentation, text) {
		e.Key.Documentation += " (" + text + ")"
	}
}

// Recommend sets the values for a setting, as long as there is room.
func (a *Adviser) Recommend(name string, values []string) {
	e := a.At(name)
	if e == nil {
		return
	}
	values = values[:min(len(values), MaxRecommended)]
	size := 0
	for _, v := range values {
		size += len(v)
	}
	if size > a.budget {
		return
	}
	a.budget -= size
	e.Recommended = values
}

// Services recommends services from the catalogue, for each entity set those that begin as what stands there.
func (a *Adviser) Services() {
	var names []string // of the settings
	for i := range a.Examined {
		if n := a.Examined[i].Key.Name; strings.HasSuffix(n, "."+nameService) && strings.HasPrefix(n, groups) {
			names = append(names, n)
		}
	}
	if !a.Reachable || len(names) == 0 {
		return
	}
	all, at, _, err := a.Catalogue(config.Query(a.Values), allServices)
	switch {
	case errors.Is(err, ErrMissing):
		return
	case err != nil:
		for _, name := range names {
			a.Hint(name, "No services are suggested: "+err.Error())
		}
		return
	}
	a.offer(all)
	searched := 0
	for _, name := range names {
		typed := strings.TrimSpace(a.Values.String(name))
		if typed != "" && !a.paths[service.Path(typed)] && len(all) > 0 && searched < MaxAsked {
			searched++
			a.search(typed, Catalogues[at])
		}
	}
	for _, name := range names {
		a.Recommend(name, a.matching(strings.TrimSpace(a.Values.String(name))))
	}
}

// offer takes services among those that are offered, each path once.
func (a *Adviser) offer(services []Listed) {
	if a.paths == nil {
		a.paths = map[string]bool{}
	}
	for _, s := range services {
		if !a.paths[s.Path] {
			a.paths[s.Path] = true
			a.offered = append(a.offered, offer{s.Path, strings.ToLower(s.Path), strings.ToLower(s.Name)})
		}
	}
}

// allServices are the options of a request for as many services as are recommended.
var allServices = "$format=json&$top=" + strconv.Itoa(MaxRecommended)

// search asks the catalogue for services whose name begins as what was typed, and as half of it, for where it is
// misspelt. A catalogue may hold more than it was asked for, and may refuse to search.
func (a *Adviser) search(typed, catalogue string) {
	name := strings.ToUpper(typed[strings.LastIndexByte(strings.TrimRight(typed, "/"), '/')+1:])
	name, _, _ = strings.Cut(strings.Trim(name, "/"), ";")
	if len(name) < 2 {
		return
	}
	for _, prefix := range []string{name, strings.ToValidUTF8(name[:len(name)/2], "")} {
		literal := uri.AppendLiteral(nil, uri.Literal{Type: edm.String, Text: prefix})
		filter := uri.AppendEscaped(nil, "startswith(TechnicalServiceName,"+string(literal)+")")
		answer, err := a.Get(catalogueRequest(config.Query(a.Values), catalogue,
			allServices+"&$filter="+string(filter)))
		if err != nil {
			continue
		}
		if rows, _, err := readCatalogue(answer); err == nil {
			a.offer(rows)
		}
	}
}

// matching are the paths of the services that begin as what was typed, by path or by name; all where none does, or
// where what was typed is one of them.
func (a *Adviser) matching(typed string) []string {
	var paths, all []string
	low := strings.ToLower(typed)
	for _, s := range a.offered {
		if strings.HasPrefix(s.lower, low) || strings.HasPrefix(s.lower, "/"+low) || strings.HasPrefix(s.name, low) {
			paths = append(paths, s.path)
		}
		all = append(all, s.path)
	}
	if len(paths) == 0 || typed == "" || a.paths[service.Path(typed)] {
		paths = all
	}
	slices.Sort(paths)
	return paths
}

// nearest are the paths of services that may have been meant by one that is not there: those that begin as half of its
// name, else the first ones.
func (a *Adviser) nearest(wrong string) []string {
	name := strings.ToLower(wrong[strings.LastIndexByte(wrong, '/')+1:])
	var near, others []string
	for _, s := range a.offered {
		if strings.HasPrefix(s.name, name[:len(name)/2]) {
			near = append(near, s.path)
		} else if len(others) < MaxRecommended {
			others = append(others, s.path)
		}
	}
	if len(near) == 0 {
		near = others
	}
	return near[:min(len(near), MaxRecommended)]
}

// EntitySet recommends what the setting of an entry's entity set may be, and returns the metadata to check the rest by;
// nil where nothing can be checked: they can't be had, or no set is named yet.
func (a *Adviser) EntitySet(number, path, set string, query uri.Query, functions bool) *edm.Model {
	if !a.Reachable || a.Values.String(config.InGroup(number, nameService)) == "" {
		return nil
	}
	m := a.model(number, path, query)
	if m == nil {
		return nil
	}
	a.Recommend(config.InGroup(number, nameEntitySet), a.sets(m, path, functions))
	if set == "" {
		return nil
	}
	return m
}

// model is the metadata of an entry's service, nil where they can't be had; what is wrong with the service then stands
// in the setting's errors.
func (a *Adviser) model(number, path string, query uri.Query) *edm.Model {
	if m, ok := a.models[path]; ok {
		return m
	}
	if len(a.models) >= MaxAsked {
		a.Hint(config.InGroup(number, nameEntitySet), "Not looked for: "+strconv.Itoa(MaxAsked)+
			" services are asked at a time")
		return nil
	}
	if a.models == nil {
		a.models = map[string]*edm.Model{}
	}
	a.models[path] = nil // also while it is missing: it counts
	name := config.InGroup(number, nameService)
	answer, err := a.Get(service.MetadataRequest(path, query))
	if err != nil {
		return nil
	}
	m, err := service.ReadMetadata(path, answer)
	var f *wit.Error
	switch {
	case err == nil:
	case errors.As(err, &f) && (f.Kind == wit.ErrorNotFound || f.Kind == wit.ErrorGone):
		text := "The service " + path + " doesn't exist: " + f.Message
		if near := a.nearest(path); len(near) > 0 {
			text += fault.Among(path, near, "")
		}
		a.Complain(name, text)
	case errors.As(err, &f) && (f.Kind == wit.ErrorForbidden || f.Kind == wit.ErrorData || succeeded(answer)):
		a.Complain(name, f.Message)
	default: // it may be there again when the connector starts
		a.Hint(name, "Its entity sets are not known: "+err.Error())
		m = nil
	}
	a.models[path] = m
	return m
}

// sets are the names that an entry of the service may have: the entity sets of the metadata, as far as the service
// document has them, too, and with functions the function imports that answer entities.
func (a *Adviser) sets(m *edm.Model, root string, functions bool) []string {
	var document []string
	if answer, err := a.Get(service.DocumentRequest(root, config.Query(a.Values))); err == nil && succeeded(answer) {
		document, _ = service.Collections(answer.Body)
	}
	var names []string
	for _, s := range m.Sets {
		if s.Addressable && (len(document) == 0 || !s.Default || slices.Contains(document, s.Name)) {
			names = append(names, service.Address(s))
		}
	}
	for _, f := range m.Functions {
		if functions && strings.EqualFold(f.Method, "GET") && strings.HasPrefix(f.Returns, "Collection(") &&
			f.Set != "" {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return names
}

// TopicsFor is the name of a set as a topic may have it.
func TopicsFor(set string) []string {
	set, _, _ = strings.Cut(set, "(") // of a view with parameters
	return []string{strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '_'
	}, set)}
}

// Refused puts a fault at its setting, or at the one given, and answers where it stands.
func (a *Adviser) Refused(err error, name string) string {
	text := err.Error()
	var f *wit.Error
	if errors.As(err, &f) {
		text = f.Message
		if f.Setting != nil {
			name = *f.Setting
		}
	}
	a.Complain(name, text)
	return name
}

// Choices recommends the allowed values of all settings that have such.
func (a *Adviser) Choices() {
	for i := range a.Examined {
		e := &a.Examined[i]
		for _, r := range e.Key.Rules {
			if r.Allowed != nil && e.Recommended == nil {
				e.Recommended = *r.Allowed
			}
		}
	}
}

package probe

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const (
	nameService   = "service"
	nameEntitySet = "entityset"
	nameTopic     = "topic"
	groupPrefix   = "sap.odata#"
)

const (
	// MaxRecommended limits the recommended values of a setting, and the services requested from a catalogue at a time.
	MaxRecommended      = 1000
	MaxRecommendedBytes = 4 << 20 // of all recommendations together
	MaxServices         = 20      // services whose metadata are requested; a start checks the others
)

// Adviser validates online. Each call uses all responses so far and requests the missing documents. The validation is
// done when no document is missing.
type Adviser struct {
	Values    setting.Values
	Examined  []wit.ConfigValue
	Reachable bool // the settings have the address of the system, or a destination

	*Prober
	table   *setting.Table
	index   map[string]int // in Examined, by name
	offered []offer
	paths   map[string]bool         // of the offered services
	models  map[string]serviceModel // by the path of the service
	budget  int                     // remaining bytes of recommendations
}

// Advise returns an adviser for settings that were validated offline.
func (p *Prober) Advise(table *setting.Table, settings []wit.Setting, examined []wit.ConfigValue) *Adviser {
	v := table.Values(settings)
	a := &Adviser{Prober: p, Values: v, table: table, index: map[string]int{}, budget: MaxRecommendedBytes}
	for _, e := range examined {
		a.add(e)
	}
	a.Reachable = (v.String(config.Address) != "" && v.String(config.Port) != "") || v.String(config.Destination) != ""
	return a
}

// Result returns the missing requests, or the validation.
func (a *Adviser) Result() wit.ValidateResult {
	if need := a.MissingRequests(); need != nil {
		return wit.ValidateResult{Pending: need}
	}
	return wit.ValidateResult{Done: &a.Examined}
}

// NextGroup returns the number of the next group, or "" if the last one lacks a mandatory setting or has the highest
// number.
func (a *Adviser) NextGroup(configured []setting.Group, mandatory ...string) string {
	if len(configured) == 0 {
		return "00"
	}
	last := configured[len(configured)-1]
	if slices.ContainsFunc(mandatory, func(name string) bool { return last.String(name) == "" }) {
		return ""
	}
	return nextNumber(last.Digits)
}

// AddSuggested adds settings that can be set next: the names, and another entity set if the last one is complete.
func (a *Adviser) AddSuggested(settings []wit.Setting, names ...string) {
	if next := a.NextGroup(config.Groups(a.Values), nameService, nameEntitySet, nameTopic); next != "" {
		names = append(names, config.InGroup(next, nameService))
	}
	extended := slices.Clone(settings)
	for _, name := range names {
		extended = append(extended, wit.Setting{Name: name})
	}
	for _, e := range a.table.Validate(extended) {
		if a.Find(e.Key.Name) == nil {
			e.Errors = nil
			e.Value = e.Key.DefaultValue
			a.add(e)
		}
	}
}

// Hide hides unset settings that have no effect.
func (a *Adviser) Hide(applies func(name string) bool) {
	for i := range a.Examined {
		e := &a.Examined[i]
		if _, isSet := a.Values.Lookup(e.Key.Name); isSet || len(e.Errors) > 0 {
			continue
		}
		e.Visible = e.Visible && applies(e.Key.Name)
	}
}

// Applies reports whether a setting of both connectors has an effect.
func (a *Adviser) Applies(name string) bool {
	return !strings.HasPrefix(name, "sap.odata.oauth.") || a.Values.Lower("sap.odata.auth.type") == "oauth2"
}

// offer is a service of the catalogue.
type offer struct{ path, lowerPath, lowerName string }

func nextNumber(digits string) string {
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

// Find returns an examined setting, or nil.
func (a *Adviser) Find(name string) *wit.ConfigValue {
	i, ok := a.index[name]
	if !ok {
		return nil
	}
	return &a.Examined[i]
}

// AddProblem adds an error to a setting, once.
func (a *Adviser) AddProblem(name, problem string) {
	value := a.Find(name)
	if value == nil {
		spec, ok := a.table.Find(name)
		if !ok {
			spec.Importance = wit.Low
		}
		spec.Name = name
		a.add(wit.ConfigValue{Key: spec, Visible: true})
		value = a.Find(name)
	}
	if !slices.Contains(value.Errors, problem) {
		value.Errors = append(value.Errors, problem)
	}
}

// AddHint adds a remark to a setting's documentation, because validation has no other place for it.
func (a *Adviser) AddHint(name, remark string) {
	if e := a.Find(name); e != nil && !strings.Contains(e.Key.Documentation, remark) {
		e.Key.Documentation += " (" + remark + ")"
	}
}

// Recommend sets the recommended values of a setting, unless all recommendations would exceed [MaxRecommendedBytes].
func (a *Adviser) Recommend(name string, values []string) {
	value := a.Find(name)
	if value == nil {
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
	value.Recommended = values
}

// RecommendServices recommends services of the catalogue that match the setting. It requests the metadata of the
// configured services first.
func (a *Adviser) RecommendServices() {
	var names []string
	for i := range a.Examined {
		if n := a.Examined[i].Key.Name; strings.HasSuffix(n, "."+nameService) && strings.HasPrefix(n, groupPrefix) {
			names = append(names, n)
		}
	}
	if !a.Reachable || len(names) == 0 {
		return
	}
	for _, name := range names[:min(len(names), MaxServices)] { // a check that runs out of time has seen these
		if typed := a.Values.String(name); typed != "" {
			_, _ = a.Get(service.MetadataRequest(service.Path(typed), config.Query(a.Values)))
		}
	}
	if len(a.missing) > 0 {
		return
	}
	entries, index, _, err := a.Catalogue(config.Query(a.Values), allServices)
	switch {
	case errors.Is(err, ErrMissing):
		return
	case err != nil:
		for _, name := range names {
			a.AddHint(name, "No services are suggested: "+err.Error())
		}
		return
	}
	a.offer(entries)
	searched := 0
	for _, name := range names {
		typed := strings.TrimSpace(a.Values.String(name))
		if typed != "" && !a.paths[service.Path(typed)] && len(entries) > 0 && searched < MaxServices {
			searched++
			a.search(typed, Catalogues[index])
		}
	}
	for _, name := range names {
		a.Recommend(name, a.matching(strings.TrimSpace(a.Values.String(name))))
	}
}

func (a *Adviser) offer(services []CatalogueEntry) {
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

var allServices = "$format=json&$top=" + strconv.Itoa(MaxRecommended)

// search requests services that start with the name, or with half of it in case it is misspelled.
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

// matching returns the services that start with typed. It returns all services if no service does, or if typed is the
// path of a service.
func (a *Adviser) matching(typed string) []string {
	var matching, paths []string
	low := strings.ToLower(typed)
	for _, s := range a.offered {
		if strings.HasPrefix(s.lowerPath, low) || strings.HasPrefix(s.lowerPath, "/"+low) ||
			strings.HasPrefix(s.lowerName, low) {
			matching = append(matching, s.path)
		}
		paths = append(paths, s.path)
	}
	if len(matching) == 0 || typed == "" || a.paths[service.Path(typed)] {
		matching = paths
	}
	slices.Sort(matching)
	return matching
}

// nearest returns services that start with half of a wrong name, else the first ones.
func (a *Adviser) nearest(wrong string) []string {
	name := strings.ToLower(wrong[strings.LastIndexByte(wrong, '/')+1:])
	var near, others []string
	for _, s := range a.offered {
		if strings.HasPrefix(s.lowerName, name[:len(name)/2]) {
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

// RecommendEntitySets recommends the entity sets of a service for the group with this number, and its function imports
// if functions is true. It returns the metadata of the service. Nil means that the set cannot be checked yet.
func (a *Adviser) RecommendEntitySets(number, path, set string, query uri.Query, functions bool) *edm.Model {
	if !a.Reachable || a.Values.String(config.InGroup(number, nameService)) == "" {
		return nil
	}
	model := a.loadModel(number, path, query)
	if model == nil {
		return nil
	}
	a.Recommend(config.InGroup(number, nameEntitySet), a.sets(model, path, functions))
	if set == "" {
		return nil
	}
	return model
}

// serviceModel is what is known about the metadata of a service, for all entity sets of it.
type serviceModel struct {
	metadata *edm.Model // nil if unknown
	problem  string     // why the metadata cannot be used, or ""
	hint     string     // why the metadata could not be read, or ""
}

// loadModel returns the metadata of a service, or nil after adding the error to the group's service setting.
func (a *Adviser) loadModel(number, path string, query uri.Query) *edm.Model {
	described, ok := a.models[path]
	if !ok {
		if len(a.models) >= MaxServices {
			a.AddHint(config.InGroup(number, nameEntitySet), "Entity sets are suggested for "+
				strconv.Itoa(MaxServices)+" services at a time only")
			return nil
		}
		if a.models == nil {
			a.models = map[string]serviceModel{}
		}
		described = a.requestModel(path, query)
		a.models[path] = described
	}
	name := config.InGroup(number, nameService)
	if described.problem != "" {
		a.AddProblem(name, described.problem)
	}
	if described.hint != "" {
		a.AddHint(name, described.hint)
	}
	return described.metadata
}

// requestModel requests the metadata of a service.
func (a *Adviser) requestModel(path string, query uri.Query) (described serviceModel) {
	answer, err := a.Get(service.MetadataRequest(path, query))
	if err != nil {
		return described
	}
	described.metadata, err = service.ReadMetadata(path, answer)
	var failure *wit.Error
	switch {
	case err == nil:
		// the metadata are known
	case errors.As(err, &failure) && (failure.Kind == wit.ErrorNotFound || failure.Kind == wit.ErrorGone):
		described.problem = "The service " + path + " doesn't exist: " + failure.Message
		if near := a.nearest(path); len(near) > 0 {
			described.problem += odataerror.Suggest(path, near, "")
		}
	case errors.As(err, &failure) && (failure.Kind == wit.ErrorForbidden || failure.Kind == wit.ErrorData ||
		succeeded(answer)):
		described.problem = failure.Message
	default: // may be temporary
		described.hint = "Its entity sets are not known: " + err.Error()
		described.metadata = nil
	}
	return described
}

// sets returns the names of the entity sets that are in metadata and service document. With functions, it also returns
// the function imports that return entities.
func (a *Adviser) sets(model *edm.Model, root string, functions bool) []string {
	var document []string
	if answer, err := a.Get(service.DocumentRequest(root, config.Query(a.Values))); err == nil && succeeded(answer) {
		document, _ = service.Collections(answer.Body)
	}
	var names []string
	for _, s := range model.Sets {
		if s.Addressable && (len(document) == 0 || !s.Default || slices.Contains(document, s.Name)) {
			names = append(names, service.Address(s))
		}
	}
	for _, f := range model.Functions {
		if functions && strings.EqualFold(f.Method, "GET") && strings.HasPrefix(f.Returns, "Collection(") &&
			f.Set != "" {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return names
}

// TopicsFor returns a set's name as a topic name.
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

// AddError adds an error to the setting that it names, else to name. It returns the name of that setting.
func (a *Adviser) AddError(err error, name string) string {
	message := err.Error()
	var f *wit.Error
	if errors.As(err, &f) {
		message = f.Message
		if f.Setting != nil {
			name = *f.Setting
		}
	}
	a.AddProblem(name, message)
	return name
}

// RecommendAllowedValues recommends the allowed values of each setting that has no recommendation yet.
func (a *Adviser) RecommendAllowedValues() {
	for i := range a.Examined {
		e := &a.Examined[i]
		for _, r := range e.Key.Rules {
			if r.Allowed != nil && e.Recommended == nil {
				e.Recommended = *r.Allowed
			}
		}
	}
}

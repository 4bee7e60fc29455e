package probe

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
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
	table  *setting.Table
	index  map[string]int // positions in Examined, by name
	offers []offer
	paths  map[string]bool         // paths of the offers
	models map[string]serviceModel // by the path of the service
	budget int                     // remaining bytes of recommendations
}

// offer is a service of the catalogue that can be recommended.
type offer struct{ path, lowerPath, lowerName string }

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
	if batch := a.MissingRequests(); batch != nil {
		return wit.ValidateResult{Pending: batch}
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
	n, err := strconv.Atoi(last.Digits)
	if err != nil || n >= 999 {
		return ""
	}
	next := strconv.Itoa(n + 1)
	return strings.Repeat("0", max(0, len(last.Digits)-len(next))) + next
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

// Applies reports whether a setting that sources and sinks share has an effect.
func (a *Adviser) Applies(name string) bool {
	return !strings.HasPrefix(name, "sap.odata.oauth.") || a.Values.Lower("sap.odata.auth.type") == "oauth2"
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
	// These services come first, so that they are checked even if the validation runs out of time.
	for _, name := range names[:min(len(names), MaxServices)] {
		if input := a.Values.String(name); input != "" {
			_, _ = a.Get(document.MetadataRequest(a.Dialect, document.ServicePath(input), config.Query(a.Values)))
		}
	}
	if len(a.missing) > 0 {
		return
	}
	page, err := a.firstPage(config.Query(a.Values), func(c *catalogue) string { return c.limited })
	switch {
	case errors.Is(err, ErrMissing):
		return
	case err != nil:
		for _, name := range names {
			a.AddHint(name, "No services are suggested: "+err.Error())
		}
		return
	}
	a.addOffers(page.Services)
	if page.catalogue.filter == nil {
		a.addPages(page)
	}
	searches := 0
	for _, name := range names {
		input := strings.TrimSpace(a.Values.String(name))
		if input != "" && !a.paths[document.ServicePath(input)] && len(page.Services) > 0 && searches < MaxServices {
			searches++
			a.searchServices(input, page.catalogue)
		}
	}
	for _, name := range names {
		a.Recommend(name, a.matchingServices(strings.TrimSpace(a.Values.String(name))))
	}
}

// addOffers adds services that are not offers yet.
func (a *Adviser) addOffers(services []CatalogueEntry) {
	if a.paths == nil {
		a.paths = map[string]bool{}
	}
	for _, s := range services {
		if !a.paths[s.Path] {
			a.paths[s.Path] = true
			a.offers = append(a.offers, offer{s.Path, strings.ToLower(s.Path), strings.ToLower(s.Name)})
		}
	}
}

var allServices = "$format=json&$top=" + strconv.Itoa(MaxRecommended)

// maxCataloguePages limits the pages of a catalogue without filters, so that rounds remain for other documents.
const maxCataloguePages = 10

// addPages adds the services of further pages.
func (a *Adviser) addPages(page *CataloguePage) {
	for n := 1; n < maxCataloguePages && page.Next != ""; n++ {
		target, err := (uri.Origin{}).Resolve(page.Next, "", page.Target)
		if err != nil {
			return
		}
		if page, err = a.NextPage(page, config.Query(a.Values).AppendTo(target)); err != nil {
			return
		}
		a.addOffers(page.Services)
	}
}

// searchServices adds services that start with the name in input, or with half of it in case it is misspelled.
func (a *Adviser) searchServices(input string, c *catalogue) {
	if c.filter == nil {
		return
	}
	name := strings.ToUpper(input[strings.LastIndexByte(strings.TrimRight(input, "/"), '/')+1:])
	name, _, _ = strings.Cut(strings.Trim(name, "/"), ";")
	if len(name) < 2 {
		return
	}
	for _, prefix := range []string{name, strings.ToValidUTF8(name[:len(name)/2], "")} {
		request := a.catalogueRequest(config.Query(a.Values), c, c.limited+"&"+c.filter(prefix))
		response, err := a.Get(request)
		if err != nil {
			continue
		}
		if page, err := a.readPage(c, request.Target, response); err == nil {
			a.addOffers(page.Services)
		}
	}
}

// matchingServices returns the paths of the offers that start with input. It returns all paths if no offer does, or if
// input is the path of a service.
func (a *Adviser) matchingServices(input string) []string {
	var matching, paths []string
	lowerInput := strings.ToLower(input)
	for _, s := range a.offers {
		if strings.HasPrefix(s.lowerPath, lowerInput) || strings.HasPrefix(s.lowerPath, "/"+lowerInput) ||
			strings.HasPrefix(s.lowerName, lowerInput) {
			matching = append(matching, s.path)
		}
		paths = append(paths, s.path)
	}
	if len(matching) == 0 || input == "" || a.paths[document.ServicePath(input)] {
		matching = paths
	}
	slices.Sort(matching)
	return matching
}

// similarServices returns the paths of offers whose name starts with half of the name in path, else the first offers.
func (a *Adviser) similarServices(path string) []string {
	segments := strings.Split(strings.ToLower(path), "/")
	name := segments[max(len(segments)-gateways[a.Dialect].nameAt, 0)]
	var similar, others []string
	for _, s := range a.offers {
		if strings.HasPrefix(s.lowerName, name[:len(name)/2]) {
			similar = append(similar, s.path)
		} else if len(others) < MaxRecommended {
			others = append(others, s.path)
		}
	}
	if len(similar) == 0 {
		similar = others
	}
	return similar[:min(len(similar), MaxRecommended)]
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
	// The names of the sets are in metadata and service document. With functions, the names of function imports that
	// return entities are added.
	var listed []string
	response, err := a.Get(document.ServiceRequest(a.Dialect, path, config.Query(a.Values)))
	if err == nil && isSuccess(response) {
		listed, _ = document.Collections(response.Body)
	}
	var names []string
	for _, s := range model.Sets {
		if s.Addressable && (len(listed) == 0 || !s.Default || slices.Contains(listed, s.Name)) {
			names = append(names, document.SetAddress(s))
		}
	}
	for _, f := range model.Functions {
		if functions && strings.EqualFold(f.Method, "GET") && strings.HasPrefix(f.Returns, "Collection(") &&
			f.Set != "" {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	a.Recommend(config.InGroup(number, nameEntitySet), names)
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
	loaded, ok := a.models[path]
	if !ok {
		if len(a.models) >= MaxServices {
			a.AddHint(config.InGroup(number, nameEntitySet), "Entity sets are suggested for "+
				strconv.Itoa(MaxServices)+" services at a time only")
			return nil
		}
		if a.models == nil {
			a.models = map[string]serviceModel{}
		}
		loaded = a.requestModel(path, query)
		a.models[path] = loaded
	}
	name := config.InGroup(number, nameService)
	if loaded.problem != "" {
		a.AddProblem(name, loaded.problem)
	}
	if loaded.hint != "" {
		a.AddHint(name, loaded.hint)
	}
	return loaded.metadata
}

// requestModel requests the metadata of a service.
func (a *Adviser) requestModel(path string, query uri.Query) (loaded serviceModel) {
	response, err := a.Get(document.MetadataRequest(a.Dialect, path, query))
	if err != nil {
		return loaded
	}
	loaded.metadata, err = document.ReadMetadata(a.Dialect, path, response)
	var failure *wit.Error
	switch {
	case err == nil:
		// the metadata are known
	case errors.As(err, &failure) && (failure.Kind == wit.ErrorNotFound || failure.Kind == wit.ErrorGone):
		loaded.problem = "The service " + path + " doesn't exist: " + failure.Message
		if similar := a.similarServices(path); len(similar) > 0 {
			loaded.problem += odataerror.Suggest(path, similar, "")
		}
	case errors.As(err, &failure) && (failure.Kind == wit.ErrorForbidden || failure.Kind == wit.ErrorData ||
		isSuccess(response)):
		loaded.problem = failure.Message
	default:
		// The error may be temporary.
		loaded.hint = "Its entity sets are not known: " + err.Error()
		loaded.metadata = nil
	}
	return loaded
}

// TopicsFor returns the recommended topic of a set: its name, with _ for characters that a topic cannot have.
func TopicsFor(set string) []string {
	set, _, _ = strings.Cut(set, "(") // parameters of a view
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
	var failure *wit.Error
	if errors.As(err, &failure) {
		message = failure.Message
		if failure.Setting != nil {
			name = *failure.Setting
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

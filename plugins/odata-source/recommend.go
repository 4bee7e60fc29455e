package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// groups is how the names of an entity set's settings begin, in front of its number.
const groups = "sap.odata#"

// Bounds of a validation online.
const (
	// maxRecommended is how many values are recommended for one setting, and how many services a catalogue is asked
	// for at a time.
	maxRecommended = 1000
	// maxAdvice bounds what is recommended for all settings together, in bytes.
	maxAdvice = 4 << 20
	// maxAsked is how many services are asked for their metadata. Entity sets of further ones are checked when the
	// connector starts.
	maxAsked = 20
	// maxErrors is how many errors one entity set may have.
	maxErrors = 50
)

// validateOnline checks settings together with what the service says, and recommends values. Each call goes by all
// answers that there are and names every document that it wanted; it is done when none is missing. So that nothing has
// to be kept between calls, documents are asked for again with each round: the host answers what it has been asked
// already from memory.
func validateOnline(given []wit.Setting, answers []wit.Response) (wit.Inquiry, error) {
	v := settings.Values(given)
	a := &adviser{v: v, index: map[string]int{}, answers: answers, budget: maxAdvice}
	for _, e := range examine(given) {
		a.add(e)
	}
	a.grow(given)
	a.reachable = v.Text(config.Address) != "" && v.Text(config.Port) != "" || v.Text(config.Destination) != ""
	a.services()
	for _, e := range entries(v) {
		a.set(&e)
	}
	a.choices()
	a.hide()
	if a.missing {
		return wit.Inquiry{Ask: &wit.Need{Requests: a.wanted}}, nil
	}
	return wit.Inquiry{Done: &a.examined}, nil
}

// adviser is a validation online in the making.
type adviser struct {
	v        setting.Values
	examined []wit.Examined
	index    map[string]int // in examined, by name
	// reachable: the settings say where the service is.
	reachable bool
	answers   []wit.Response
	// wanted are the documents that were asked for so far; missing: one of them is not there.
	wanted  []wit.Request
	missing bool
	// offered are the services of the catalogue that came, which is that of this number.
	offered []offer
	paths   map[string]bool // of those
	asked   int
	models  map[string]*edm.Model
	budget  int
}

// get is the answer to a request, nil while it is not there. Requests are told apart by their tags.
func (a *adviser) get(r wit.Request) *wit.Response {
	if !slices.ContainsFunc(a.wanted, func(w wit.Request) bool { return w.Tag == r.Tag }) {
		a.wanted = append(a.wanted, r)
	}
	for i := range a.answers {
		if a.answers[i].Tag == r.Tag {
			return &a.answers[i]
		}
	}
	a.missing = true
	return nil
}

func succeeded(answer *wit.Response) bool { return answer.Status >= 200 && answer.Status <= 299 }

// grow adds the settings that can be given next: those of a further entity set when the one before is complete, those
// of a further condition when that before is.
func (a *adviser) grow(given []wit.Setting) {
	filled := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return a.v.Text(name) == "" })
	}
	more := slices.Clone(given)
	last := ""
	for _, g := range config.Groups(a.v) {
		last = g.Digits
		conditions := a.v.Groups(config.InGroup(g.Digits, filterGroup), "")
		next := "00"
		if n := len(conditions); n > 0 {
			c := conditions[n-1]
			if next = following(c.Digits); c.Text(query.Property) == "" || c.Text(query.Option) == "" ||
				c.Text(query.Low) == "" {
				next = ""
			}
		}
		if next != "" && filled(config.InGroup(g.Digits, nameService), config.InGroup(g.Digits, nameEntitySet)) {
			for _, name := range []string{query.Property, query.Option, query.Low, query.High} {
				more = append(more, wit.Setting{Name: config.InGroup(g.Digits, "filter#"+next+"."+name)})
			}
		}
	}
	next := "00"
	if last != "" {
		if next = following(last); !filled(config.InGroup(last, nameService), config.InGroup(last, nameEntitySet),
			config.InGroup(last, nameTopic)) {
			next = ""
		}
	}
	if next != "" {
		more = append(more, wit.Setting{Name: config.InGroup(next, nameService)})
	}
	if len(more) == len(given) {
		return
	}
	for _, e := range settings.Examine(more) {
		if a.at(e.Spec.Name) == nil {
			e.Errors, e.Value = nil, e.Spec.DefaultValue // nobody has given it
			a.add(e)
		}
	}
}

// following is the next number of a group, with as many digits; "" behind the last.
func following(digits string) string {
	n, err := strconv.Atoi(digits)
	if err != nil || n >= 999 {
		return ""
	}
	next := strconv.Itoa(n + 1)
	return strings.Repeat("0", max(0, len(digits)-len(next))) + next
}

func (a *adviser) add(e wit.Examined) {
	a.index[e.Spec.Name] = len(a.examined)
	a.examined = append(a.examined, e)
}

// at is an examined setting, nil where there is none.
func (a *adviser) at(name string) *wit.Examined {
	i, ok := a.index[name]
	if !ok {
		return nil
	}
	return &a.examined[i]
}

// complain adds an error, once, to a setting that may be known by another name only.
func (a *adviser) complain(name, text string) {
	e := a.at(name)
	if e == nil {
		spec, ok := settings.Find(name)
		if !ok {
			spec.Importance = wit.Low
		}
		spec.Name = name
		a.add(wit.Examined{Spec: spec, Visible: true})
		e = a.at(name)
	}
	if !slices.Contains(e.Errors, text) {
		e.Errors = append(e.Errors, text)
	}
}

// hint says beside a setting what is worth knowing and no error: validation has no other place for it than the
// documentation.
func (a *adviser) hint(name, text string) {
	if e := a.at(name); e != nil && !strings.Contains(e.Spec.Documentation, text) {
		e.Spec.Documentation += " (" + text + ")"
	}
}

// recommend sets the values for a setting, as long as there is room.
func (a *adviser) recommend(name string, values []string) {
	e := a.at(name)
	if e == nil {
		return
	}
	values = values[:min(len(values), maxRecommended)]
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

// services recommends services from the catalogue, for each entity set those that begin as what stands there.
func (a *adviser) services() {
	var names []string // of the settings
	for i := range a.examined {
		if n := a.examined[i].Spec.Name; strings.HasSuffix(n, "."+nameService) && strings.HasPrefix(n, groups) {
			names = append(names, n)
		}
	}
	if !a.reachable || len(names) == 0 {
		return
	}
	all, why := a.catalogue()
	if why != "" {
		for _, name := range names {
			a.hint(name, "No services are suggested: "+why)
		}
		return
	}
	a.offer(all)
	searched := 0
	for _, name := range names {
		typed := strings.TrimSpace(a.v.Text(name))
		if typed != "" && !a.paths[path(typed)] && len(all) > 0 && searched < maxAsked {
			searched++
			a.search(typed)
		}
	}
	for _, name := range names {
		a.recommend(name, a.matching(strings.TrimSpace(a.v.Text(name))))
	}
}

// offer is a service of the catalogue: its path, and that and its name in lower case.
type offer struct{ path, lower, name string }

// offer takes services among those that are offered, each path once.
func (a *adviser) offer(services []catalogued) {
	if a.paths == nil {
		a.paths = map[string]bool{}
	}
	for _, s := range services {
		if !a.paths[s.path] {
			a.paths[s.path] = true
			a.offered = append(a.offered, offer{s.path, strings.ToLower(s.path), strings.ToLower(s.name)})
		}
	}
}

// catalogue is what the newest catalogue that there is answers, or why there is none.
func (a *adviser) catalogue() (all []catalogued, why string) {
	for i, root := range catalogues {
		answer := a.get(a.catalogueRequest(i, ""))
		if answer == nil {
			return nil, ""
		}
		rows, _, err := readCatalogue(answer)
		if err == nil {
			a.asked = i
			return rows, ""
		}
		why = err.Error()
		if !(answer.Status == 404 || answer.Status == 403 || answer.Status == 400) {
			return nil, why
		}
		if i == len(catalogues)-1 {
			why += "; SAP systems have them where " + root + " is active (transaction /IWFND/MAINT_SERVICE)"
		}
	}
	return nil, why
}

// catalogueRequest asks the i-th catalogue for as many services as are recommended, those that begin so.
func (a *adviser) catalogueRequest(i int, prefix string) wit.Request {
	options := "$format=json&$top=" + strconv.Itoa(maxRecommended)
	if prefix != "" {
		literal := uri.AppendLiteral(nil, uri.Literal{Type: edm.String, Text: prefix})
		options += "&$filter=" + string(uri.AppendEscaped(nil, "startswith(TechnicalServiceName,"+string(literal)+")"))
	}
	return catalogueRequest("catalogue "+strconv.Itoa(i)+" "+prefix,
		config.Query(a.v).On(catalogues[i]+"/ServiceCollection?"+options))
}

// search asks the catalogue for services whose name begins as what was typed, and as half of it, for where it is
// misspelt. A catalogue may hold more than it was asked for, and may refuse to search.
func (a *adviser) search(typed string) {
	name := strings.ToUpper(typed[strings.LastIndexByte(strings.TrimRight(typed, "/"), '/')+1:])
	name, _, _ = strings.Cut(strings.Trim(name, "/"), ";")
	if len(name) < 2 {
		return
	}
	for _, prefix := range []string{name, strings.ToValidUTF8(name[:len(name)/2], "")} {
		answer := a.get(a.catalogueRequest(a.asked, prefix))
		if answer == nil {
			continue
		}
		rows, _, err := readCatalogue(answer)
		if err != nil {
			continue
		}
		a.offer(rows)
	}
}

// matching are the paths of the services that begin as what was typed, by path or by name; all where none does, or
// where what was typed is one of them.
func (a *adviser) matching(typed string) []string {
	var paths, all []string
	low := strings.ToLower(typed)
	for _, s := range a.offered {
		if strings.HasPrefix(s.lower, low) || strings.HasPrefix(s.lower, "/"+low) || strings.HasPrefix(s.name, low) {
			paths = append(paths, s.path)
		}
		all = append(all, s.path)
	}
	if len(paths) == 0 || typed == "" || a.paths[path(typed)] {
		paths = all
	}
	slices.Sort(paths)
	return paths
}

// nearest are the paths of services that may have been meant by one that is not there: those that begin as half of its
// name, else the first ones.
func (a *adviser) nearest(wrong string) []string {
	name := strings.ToLower(wrong[strings.LastIndexByte(wrong, '/')+1:])
	var near, others []string
	for _, s := range a.offered {
		if strings.HasPrefix(s.name, name[:len(name)/2]) {
			near = append(near, s.path)
		} else if len(others) < maxRecommended {
			others = append(others, s.path)
		}
	}
	if len(near) == 0 {
		near = others
	}
	return near[:min(len(near), maxRecommended)]
}

// set recommends what belongs to one entity set, and checks it against the metadata.
func (a *adviser) set(e *entry) {
	if !a.reachable || a.v.Text(config.InGroup(e.number, nameService)) == "" {
		return
	}
	m := a.model(e)
	if m == nil {
		return
	}
	name := config.InGroup(e.number, nameEntitySet)
	a.recommend(name, a.sets(m, e.service))
	if e.set == "" {
		return
	}
	found, s, err := findSet(e, m)
	if err != nil {
		a.refused(err, name)
		return
	}
	a.recommend(config.InGroup(e.number, nameTopic), topicsFor(found.Name))
	a.properties(e, m, s)
	a.delta(e, m, found)
	a.probe(*e, m)
}

// model is the metadata of an entry's service, nil where they can't be had; what is wrong with the service then stands
// in the setting's errors.
func (a *adviser) model(e *entry) *edm.Model {
	if m, ok := a.models[e.service]; ok {
		return m
	}
	if len(a.models) >= maxAsked {
		a.hint(config.InGroup(e.number, nameEntitySet), "Not looked for: "+strconv.Itoa(maxAsked)+" services are asked at a time")
		return nil
	}
	name := config.InGroup(e.number, nameService)
	answer := a.get(service.MetadataRequest(e.service, e.query))
	if answer == nil {
		return nil
	}
	m, err := service.ReadMetadata(e.service, answer)
	var f *wit.Fault
	switch {
	case err == nil:
	case errors.As(err, &f) && (f.Kind == wit.FaultNotFound || f.Kind == wit.FaultGone):
		text := "The service " + e.service + " doesn't exist: " + f.Message
		if near := a.nearest(e.service); len(near) > 0 {
			text += fault.Among(e.service, near, "")
		}
		a.complain(name, text)
	case errors.As(err, &f) && (f.Kind == wit.FaultForbidden || f.Kind == wit.FaultData || succeeded(answer)):
		a.complain(name, f.Message)
	default: // it may be there again when the connector starts
		a.hint(name, "Its entity sets are not known: "+err.Error())
		m = nil
	}
	if a.models == nil {
		a.models = map[string]*edm.Model{}
	}
	a.models[e.service] = m
	return m
}

// sets are the names that an entry of the service may have: the entity sets of the metadata, as far as the service
// document has them, too, and function imports that answer entities.
func (a *adviser) sets(m *edm.Model, root string) []string {
	r := documentRequest(root, config.Query(a.v))
	r.Tag = "document " + root
	var document []string
	if answer := a.get(r); answer != nil && succeeded(answer) {
		document, _ = service.Collections(answer.Body)
	}
	var names []string
	for _, s := range m.Sets {
		if s.Addressable && (len(document) == 0 || !s.Default || slices.Contains(document, s.Name)) {
			names = append(names, service.Address(s))
		}
	}
	for _, f := range m.Functions {
		if strings.EqualFold(f.Method, "GET") && strings.HasPrefix(f.Returns, "Collection(") && f.Set != "" {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return names
}

// topicsFor is the name of a set as a topic may have it.
func topicsFor(set string) []string {
	return []string{strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '_'
	}, set)}
}

// properties recommends what rows may be chosen by and consist of.
func (a *adviser) properties(e *entry, m *edm.Model, s *edm.Structure) {
	of := func(name string) string { return config.InGroup(e.number, name) }
	var chosen, expands, filters, cursors []string
	var walk func(s *edm.Structure, prefix string, depth int, many bool)
	walk = func(s *edm.Structure, prefix string, depth int, many bool) {
		if depth > 10 || len(chosen) > maxRecommended {
			return
		}
		for i := range s.Properties {
			p := &s.Properties[i]
			chosen = append(chosen, prefix+p.Name)
			if p.Type.Primitive != edm.NotPrimitive && (p.Filterable || many) {
				filters = append(filters, prefix+p.Name)
			}
			inner := m.Structure(p.Type.Name)
			if p.Type.Primitive != edm.NotPrimitive || inner == nil || p.Type.Collection {
				continue
			}
			for j := range inner.Properties {
				if q := &inner.Properties[j]; q.Type.Primitive != edm.NotPrimitive && (q.Filterable || many) {
					filters = append(filters, prefix+p.Name+"/"+q.Name)
				}
			}
		}
		for _, n := range s.Navigations {
			target := m.Structure(n.Target)
			if target == nil {
				continue
			}
			path := prefix + n.Name
			expands = append(expands, path)
			expanded := slices.ContainsFunc(e.reads.Expand, func(x string) bool {
				return x == path || strings.HasPrefix(x, path+"/")
			})
			if expanded {
				walk(target, path+"/", depth+1, many || n.Many)
			}
		}
	}
	walk(s, "", 0, false)
	for i := range s.Properties {
		if grows(&s.Properties[i]) {
			cursors = append(cursors, s.Properties[i].Name)
		}
	}
	a.recommend(of(query.Select), chosen)
	a.recommend(of(query.Expand), expands)
	a.recommend(of(nameCursor), cursors)
	for i := range a.examined {
		name := a.examined[i].Spec.Name
		if rest, ok := strings.CutPrefix(name, of("filter#")); ok && strings.HasSuffix(rest, "."+query.Property) {
			a.recommend(name, filters)
		}
	}
}

// delta complains of delta mode for a set that has none. Only where the metadata of a service announce change tracking
// for some sets they say by that of the others that there is none; else the end of the first load shows it.
func (a *adviser) delta(e *entry, m *edm.Model, set *edm.Set) {
	f := &feed{entry: *e}
	if !e.tracking.on || set.ChangeTracking || f.track(m, set) != nil || f.odp != nil {
		return
	}
	var names []string
	for _, s := range m.Sets {
		if s.ChangeTracking {
			names = append(names, service.Address(s))
		}
	}
	name := config.InGroup(e.number, nameTrackChanges)
	if len(names) == 0 {
		a.hint(name, "$metadata of "+e.service+" announces no change tracking; the end of the first load shows whether there is a delta link")
		return
	}
	a.complain(name, setting.Invalid(name, a.v.Text(name), "the metadata of "+e.service+" announce change tracking "+
		"(sap:change-tracking) for other entity sets and not for "+e.set+fault.Among("", names, "")))
}

// probe makes the feed as the start of the connector does, and goes on without what is refused, so that every mistake
// is told at once.
func (a *adviser) probe(e entry, m *edm.Model) {
	e.reads.Select, e.reads.Conditions = slices.Clone(e.reads.Select), slices.Clone(e.reads.Conditions)
	for range maxErrors {
		_, err := newFeed(e, m)
		if err == nil {
			return
		}
		name := a.refused(err, config.InGroup(e.number, nameEntitySet))
		rest := strings.TrimPrefix(name, config.InGroup(e.number, ""))
		at := slices.IndexFunc(e.reads.Conditions, func(c query.Condition) bool {
			return strings.HasPrefix(name,
				c.Prefix)
		})
		switch {
		case at >= 0:
			e.reads.Conditions = slices.Delete(e.reads.Conditions, at, at+1)
		case rest == query.Select && len(e.reads.Select) > 0:
			e.reads.Select = nil
		case rest == nameCursor && e.cursor != "":
			e.cursor, e.reads.Cursor, e.lookback = "", "", 0
		default:
			return
		}
	}
}

// refused puts a fault at its setting, or at the one given, and answers where it stands.
func (a *adviser) refused(err error, name string) string {
	text := err.Error()
	var f *wit.Fault
	if errors.As(err, &f) {
		text = f.Message
		if f.Setting != nil {
			name = *f.Setting
		}
	}
	a.complain(name, text)
	return name
}

// choices recommends the allowed values of all settings that have such.
func (a *adviser) choices() {
	for i := range a.examined {
		e := &a.examined[i]
		for _, r := range e.Spec.Rules {
			if r.Allowed != nil && e.Recommended == nil {
				e.Recommended = *r.Allowed
			}
		}
	}
}

// hide takes settings away that have no effect as long as others aren't given. What is given stays to be seen.
func (a *adviser) hide() {
	subscribed := false
	for _, g := range config.Groups(a.v) {
		subscribed = subscribed || on(g, nameSubscription)
	}
	for i := range a.examined {
		e := &a.examined[i]
		if _, given := a.v.Given(e.Spec.Name); given || len(e.Errors) > 0 {
			continue
		}
		e.Visible = a.applies(e.Spec.Name, subscribed)
	}
}

// applies tells whether a setting has an effect with those that are given.
func (a *adviser) applies(name string, subscribed bool) bool {
	number, own := "", ""
	if rest, ok := strings.CutPrefix(name, groups); ok {
		number, own, _ = strings.Cut(rest, ".")
	}
	switch {
	case strings.HasPrefix(name, "sap.odata.subscription."):
		return subscribed
	case strings.HasPrefix(name, "sap.odata.oauth."):
		return a.v.Word("sap.odata.auth.type") == "oauth2"
	case name == deltaTakeover || name == initialRead:
		return slices.ContainsFunc(entries(a.v), func(e entry) bool { return e.tracking.on })
	case number == "" || own == nameService || own == nameEntitySet || own == nameTopic:
		return true
	}
	text := func(name string) string { return a.v.Text(config.InGroup(number, name)) }
	tracked, _ := setting.Flag(text(nameTrackChanges))
	if text(nameService) == "" || text(nameEntitySet) == "" {
		return false
	}
	if condition, ok := strings.CutSuffix(own, "."+query.High); ok && strings.HasPrefix(own, "filter#") {
		option := strings.ToLower(text(condition + "." + query.Option))
		return option == "bt" || option == "nb"
	}
	switch own {
	case nameDeletes, nameLost, nameRecovery, nameRegex, nameReplacement, nameNullMessages, nameBefore, nameDeltaKind:
		return tracked
	case nameCursor:
		return !tracked
	case nameLookback:
		return text(nameCursor) != ""
	}
	if strings.HasPrefix(own, "subscription.") && own != nameSubscription {
		enabled, _ := setting.Flag(text(nameSubscription))
		return enabled
	}
	return true
}

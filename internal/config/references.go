package config

// maxResolvedBytes bounds the values that references insert into the settings of one connector or worker: one file may
// be named by many references, and one reference may be repeated in a value.
const maxResolvedBytes = 16 << 20

// references resolves the references of one configuration, or of all configurations that one scan reads. Invariants:
// nothing is read twice. Of a properties file only the keys are kept that the configurations name. Nothing is kept
// longer than the scan, because secrets change.
type references struct {
	providers *Providers
	requested map[secretFile]map[string]bool // keys of properties files that references name
	results   map[secretKey]lookupResult
}

// secretFile is a path and the provider that reads it.
type secretFile struct{ provider, path string }

type secretKey struct {
	secretFile
	key string
}

type lookupResult struct {
	value string
	ok    bool
	err   error
}

// newReferences returns a resolver for the references in configurations.
func (p *Providers) newReferences(configurations ...[]Entry) *references {
	r := &references{providers: p, requested: map[secretFile]map[string]bool{}, results: map[secretKey]lookupResult{}}
	for _, entries := range configurations {
		for _, entry := range entries {
			for _, parts := range reference.FindAllStringSubmatch(entry.Raw, -1) {
				r.request(parts)
			}
		}
	}
	return r
}

// request records the key of a reference, given its parts: the submatches of [reference], of which 1 is the provider, 3
// the path and 4 the key.
func (r *references) request(parts []string) {
	if r.providers.byName[parts[1]].kind != fileKind {
		return
	}
	file := secretFile{provider: parts[1], path: parts[3]}
	if r.requested[file] == nil {
		r.requested[file] = map[string]bool{}
	}
	r.requested[file][parts[4]] = true
}

// lookup returns the value of a reference, given its parts as in request.
func (r *references) lookup(parts []string) (value string, ok bool, err error) {
	key := secretKey{secretFile: secretFile{provider: parts[1], path: parts[3]}, key: parts[4]}
	if _, ok := r.results[key]; !ok {
		r.read(key)
	}
	result := r.results[key]
	return result.value, result.ok, result.err
}

// read stores the result of a key, and of all requested keys if it is in a properties file.
func (r *references) read(key secretKey) {
	source := r.providers.byName[key.provider]
	if source.kind != fileKind {
		value, ok, err := source.get(key.path, key.key)
		r.results[key] = lookupResult{value: value, ok: ok, err: err}
		return
	}
	values, err := source.read(key.path, r.requested[key.secretFile])
	for name := range r.requested[key.secretFile] {
		value, ok := values[name]
		r.results[secretKey{secretFile: key.secretFile, key: name}] = lookupResult{value: value, ok: ok, err: err}
	}
}

// resolve returns entries with their references resolved. It keeps references to undeclared providers, as Kafka does: a
// transformation's replacement may look like one.
func (r *references) resolve(entries []Entry) ([]Entry, Problems) {
	var problems Problems
	resolved := make([]Entry, len(entries))
	remaining := maxResolvedBytes
	for i, entry := range entries {
		problems = append(problems, r.resolveEntry(&entry, &remaining)...)
		resolved[i] = entry
	}
	return resolved, problems
}

// resolveEntry resolves the references in a value. remaining is how many bytes they may insert; it is decreased.
func (r *references) resolveEntry(entry *Entry, remaining *int) (problems Problems) {
	p := r.providers
	if !p.hasReference(*entry) {
		return nil
	}
	var secrets []string
	var fromFile, absent bool
	resolved := reference.ReplaceAllStringFunc(entry.Raw, func(match string) string {
		parts := reference.FindStringSubmatch(match)
		source, ok := p.byName[parts[1]]
		if !ok {
			return match
		}
		fromFile = fromFile || source.kind != environmentKind
		if entry.FromREST && !source.openToREST {
			problems = append(problems, entry.Problem("%s: %s", match,
				p.closedHint(source, parts[1], parts[3], parts[4])))
			return ""
		}
		value, ok, err := r.lookup(parts)
		*remaining -= len(value)
		switch {
		case err != nil:
			problems = append(problems, entry.Problem("%s: %v", match, err))
		case !ok:
			problems = append(problems, entry.Problem("%s: not found: %s", match, source.kind.missing))
		case *remaining < 0:
			ok = false
			value = ""
			problems = append(problems, entry.Problem("%s: expected at most %d bytes of values from config providers "+
				"in one configuration, found more", match, maxResolvedBytes))
		}
		absent = absent || err != nil || !ok
		secrets = append(secrets, secretValues(value)...)
		return value
	})
	if absent { // the text around it is no value, either
		resolved = ""
	}
	entry.Value = p.known.NewSecret(resolved, fromFile, secrets...)
	return problems
}

package resolved

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// PluginClass is a class that a connector names, with a range of versions, of which "" means any.
type PluginClass struct {
	Class   string
	Version string
}

// Stage is a transform or a predicate of a connector.
type Stage struct {
	Class     Class
	Kind      wit.ComponentKind
	Alias     string
	Prefix    string // Prefix begins its settings: transforms.ALIAS. or predicates.ALIAS.
	Predicate *Stage // Predicate restricts a transform to some records. Nil means all records.
	Negate    bool   // Negate restricts it to the other records.
}

// Stages are the transforms of a connector in their order, and its declared predicates, used or not.
type Stages struct {
	Transforms []*Stage
	Predicates []*Stage
	// Problems are of the settings that Kafka Connect itself reads. With an error, a list may be incomplete.
	Problems config.Problems
	// Prefixes begin the settings of stages. If the lists of stages are beyond the bounds, all keys with these words
	// count as such settings.
	Prefixes []string
}

// All returns the transforms and their predicates, then the other predicates.
func (s *Stages) All() []*Stage { return slices.Concat(s.Transforms, s.Predicates) }

const (
	transformsSetting = "transforms"
	predicatesSetting = "predicates"
)

// A check calls a plugin for each transform and predicate, and its answer describes all settings of each, with the
// alias in their names.
const (
	maxStages     = 200 // transforms and predicates of a connector together
	maxAliasBytes = 250
)

// PluginClasses returns the classes of a connector, its transforms and their predicates, each once.
func PluginClasses(c *config.Connector) (classes []PluginClass) {
	classes = append(classes, PluginClass{c.Text(ClassSetting), c.Text(VersionSetting)})
	stages := readStages(c)
	for _, transform := range stages.Transforms {
		classes = append(classes, transform.Class.PluginClass)
		if transform.Predicate != nil {
			classes = append(classes, transform.Predicate.Class.PluginClass)
		}
	}
	return unique(classes)
}

// readStages reads the settings of stages. It does not look up their classes.
func readStages(c *config.Connector) (stages Stages) {
	transforms, _ := c.Entry(transformsSetting)
	predicates, _ := c.Entry(predicatesSetting)
	aliases, declared, problem := stageAliases(transforms, predicates)
	if problem != nil {
		return Stages{Problems: config.Problems{*problem}, Prefixes: stageWords}
	}
	stages.Problems = append(DuplicateAliases(transforms), DuplicateAliases(predicates)...)
	for _, alias := range unique(declared) {
		stages.Predicates = append(stages.Predicates, newStage(c, predicatesSetting, alias))
	}
	for _, alias := range unique(aliases) {
		stage := newStage(c, transformsSetting, alias)
		if stage.Class.Class == "" {
			stages.Problems = append(stages.Problems, transforms.MissingProblem(stage.Prefix+"type"))
		}
		stages.readPredicate(c, stage, declared)
		stages.Transforms = append(stages.Transforms, stage)
	}
	for _, predicate := range stages.Predicates {
		if predicate.Class.Class == "" {
			stages.Problems = append(stages.Problems, predicates.MissingProblem(predicate.Prefix+"type"))
		}
	}
	for _, stage := range stages.All() {
		stages.Prefixes = append(stages.Prefixes, stage.Prefix)
	}
	return stages
}

func newStage(c *config.Connector, list, alias string) *Stage {
	prefix := list + "." + alias + "."
	kind := wit.ComponentTransformation
	if list == predicatesSetting {
		kind = wit.ComponentPredicate
	}
	class := Class{PluginClass: PluginClass{c.Text(prefix + "type"), c.Text(prefix + "plugin.version")},
		Component: noComponent}
	return &Stage{Kind: kind, Alias: alias, Prefix: prefix, Class: class}
}

// readPredicate reads the predicate of a transform. declared are the aliases of the predicates.
func (s *Stages) readPredicate(c *config.Connector, stage *Stage, declared []string) {
	negate, isSet := c.Entry(stage.Prefix + "negate")
	if b, ok := config.Boolean(negate.Value.Reveal()); ok {
		stage.Negate = b
		if b && setting.Trim(negate.Raw) != negate.Raw {
			s.Problems = append(s.Problems, negate.Warning("is true here, but false in Kafka Connect, which does not "+
				"trim the spaces around this value: remove them"))
		}
	} else if isSet {
		s.Problems = append(s.Problems, negate.CodedProblem(setting.CodeInvalid, setting.Invalid(negate.Key,
			setting.Trim(negate.Value.String()), "Expected value to be either true or false")))
	}
	predicate, ok := c.Entry(stage.Prefix + "predicate")
	if !ok {
		if isSet {
			s.Problems = append(s.Problems, negate.CodedProblem(setting.CodeInvalid, "Config '"+negate.Key+"' was "+
				"provided but there is no config '"+stage.Prefix+"predicate' defining a predicate to be negated."))
		}
		return
	}
	name := setting.Trim(predicate.Value.Reveal())
	if i := slices.IndexFunc(s.Predicates, func(p *Stage) bool { return p.Alias == name }); i >= 0 {
		stage.Predicate = s.Predicates[i]
		return
	}
	stage.Predicate = newStage(c, predicatesSetting, name)
	message := fmt.Sprintf("expected one of the predicates (%s), found %q",
		shown.LineUpTo(strings.Join(declared, ", "), 200), name) // each transform may have this problem
	if len(declared) == 0 {
		message = fmt.Sprintf("there is no predicate %q: expected predicates=%s", name, name)
	}
	s.Problems = append(s.Problems, predicate.Problem("%s", message))
}

// stageAliases returns the aliases in the lists of transforms and predicates, or the problem of lists beyond the
// bounds.
func stageAliases(transforms, predicates config.Entry) (ofTransforms, ofPredicates []string, problem *config.Problem) {
	invalid := func(entry config.Entry, text string) *config.Problem {
		p := entry.CodedProblem(setting.CodeInvalid, text)
		return &p
	}
	ofTransforms = config.List(transforms.Value.Reveal())
	ofPredicates = config.List(predicates.Value.Reveal())
	if n := len(ofTransforms) + len(ofPredicates); n > maxStages {
		entry := transforms
		if entry.Key == "" {
			entry = predicates
		}
		return nil, nil, invalid(entry, fmt.Sprintf("expected at most %d transforms and predicates together, found %d",
			maxStages, n))
	}
	isLong := func(alias string) bool { return len(alias) > maxAliasBytes }
	const tooLong = "expected names of at most %d bytes, found one of %d"
	if i := slices.IndexFunc(ofTransforms, isLong); i >= 0 {
		return nil, nil, invalid(transforms, fmt.Sprintf(tooLong, maxAliasBytes, len(ofTransforms[i])))
	}
	if i := slices.IndexFunc(ofPredicates, isLong); i >= 0 {
		return nil, nil, invalid(predicates, fmt.Sprintf(tooLong, maxAliasBytes, len(ofPredicates[i])))
	}
	return ofTransforms, ofPredicates, nil
}

var stageWords = []string{transformsSetting + ".", predicatesSetting + "."}

// StagePrefix returns the prefix of a setting of a transform or predicate, "" for other settings.
func StagePrefix(name string) string {
	for _, list := range stageWords {
		if suffix, ok := strings.CutPrefix(name, list); ok {
			if alias, _, ok := strings.Cut(suffix, "."); ok {
				return list + alias + "."
			}
		}
	}
	return ""
}

// StageConfig returns the settings of a stage without their prefix.
func (c *Connector) StageConfig(stage *Stage) *config.Connector {
	stageConfig := &config.Connector{Name: c.Name, File: c.File}
	for _, entry := range c.Entries {
		name, ok := strings.CutPrefix(entry.Key, stage.Prefix)
		if !ok || slices.Contains(StageSettings, name) {
			continue
		}
		entry.Key = name
		stageConfig.Entries = append(stageConfig.Entries, entry)
	}
	return stageConfig
}

// StageSettings are the settings of a stage that Kafka Connect itself reads.
var StageSettings = []string{"type", "plugin.version", "predicate", "negate"}

// DuplicateAliases returns the problem of a list that has an alias twice.
func DuplicateAliases(list config.Entry) config.Problems {
	aliases := config.List(list.Value.Reveal())
	if len(unique(aliases)) == len(aliases) {
		return nil
	}
	return config.Problems{list.CodedProblem(setting.CodeInvalid, setting.Invalid(list.Key,
		"["+strings.Join(aliases, ", ")+"]", "Duplicate alias provided."))}
}

func unique[T comparable](list []T) []T {
	var once []T
	isKnown := make(map[T]bool, len(list))
	for _, element := range list {
		if !isKnown[element] {
			isKnown[element] = true
			once = append(once, element)
		}
	}
	return once
}

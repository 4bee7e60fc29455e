package catalog

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/predicates"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/plugins/smt/transforms/convert"
	"github.com/culvert-project/culvert/plugins/smt/transforms/fields"
	"github.com/culvert-project/culvert/plugins/smt/transforms/records"
	"github.com/culvert-project/culvert/plugins/smt/transforms/topics"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// component is a transform or predicate. Either transform or predicate is nil.
type component struct {
	name      string
	doc       string
	kind      wit.ComponentKind
	keys      []wit.ConfigKey
	transform func(settings.Values) (operation.Operation, *wit.Error)
	predicate func(settings.Values) (operation.Predicate, *wit.Error)
}

// components is in the order of the plugin's description: transforms by class name, then predicates.
var components = func() (list []component) {
	classes := slices.Concat(fields.Classes, convert.Classes, records.Classes, topics.Classes)
	slices.SortFunc(classes, func(a, b operation.Class) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range slices.Concat(classes, predicates.Classes) {
		entry := component{name: c.Name, doc: c.Doc, kind: wit.ComponentTransformation, keys: c.Keys,
			transform: c.Transform, predicate: c.Predicate}
		switch {
		case c.Predicate != nil:
			entry.kind = wit.ComponentPredicate
			list = append(list, entry)
		case c.PerTarget == nil:
			list = append(list, entry)
		default:
			for target, suffix := range [...]string{record.Key: "$Key", record.Value: "$Value"} {
				entry.name = c.Name + suffix
				entry.transform = func(s settings.Values) (operation.Operation, *wit.Error) {
					return c.PerTarget(record.Target(target), s)
				}
				entry.doc = strings.ReplaceAll(c.Doc, "{target}", strings.ToLower(suffix[1:]))
				list = append(list, entry)
			}
		}
	}
	return list
}()

func (c *component) alias() string { return c.name[strings.LastIndexByte(c.name, '.')+1:] }

// findComponent returns the component with a name or alias, or nil.
func findComponent(name string) *component {
	for i := range components {
		if c := &components[i]; c.name == name || c.alias() == name {
			return c
		}
	}
	return nil
}

// Components describes all transforms and predicates.
func Components() []wit.Component {
	list := make([]wit.Component, len(components))
	for i := range components {
		c := &components[i]
		list[i] = wit.Component{Name: c.name, Kind: c.kind, Aliases: []string{c.alias()},
			Documentation: c.doc, Settings: c.keys}
	}
	return list
}

// Validate checks a component's settings. Errors of single settings are in the values, others are returned.
func Validate(name string, values []wit.Setting) ([]wit.ConfigValue, *wit.Error) {
	c := findComponent(name)
	if c == nil {
		return nil, settings.Error("", "unknown component "+strconv.Quote(name))
	}
	table := setting.NewTable(c.keys...)
	table.Check.AllowEmpty = true // Kafka accepts empty values of required settings
	list := table.Validate(values)
	if setting.FirstError(list) != nil {
		return list, nil
	}
	if err := c.check(settings.Values(values)); err != nil {
		if err.Setting == nil {
			return nil, err
		}
		setting.AddError(list, *err.Setting, err.Message)
	}
	return list, nil
}

// check returns the error of creating the component.
func (c *component) check(values settings.Values) *wit.Error {
	var err *wit.Error
	if c.transform != nil {
		_, err = c.transform(values)
	} else {
		_, err = c.predicate(values)
	}
	return err
}

// NewStage creates the stage of a chain at the position number.
func NewStage(number int, stage *wit.Stage) (result operation.Stage, err *wit.Error) {
	c := findComponent(stage.Component)
	if c == nil || c.transform == nil {
		return result, settings.Error("", "expected a transform of this plugin")
	}
	result.Number = number
	if result.Operation, err = c.transform(stage.Settings); err != nil || stage.Condition == nil {
		return result, err
	}
	predicate, ok, err := NewPredicate(stage.Condition.Component, stage.Condition.Settings)
	if !ok {
		return result, settings.Error("", "expected a predicate of this plugin as the condition, found "+
			strconv.Quote(stage.Condition.Component))
	}
	result.Predicate = predicate
	result.Negate = stage.Condition.Negate
	return result, err
}

// NewPredicate returns a predicate. ok is false if the component is not a predicate.
func NewPredicate(name string, values settings.Values) (result operation.Predicate, ok bool, err *wit.Error) {
	c := findComponent(name)
	if c == nil || c.predicate == nil {
		return nil, false, nil
	}
	result, err = c.predicate(values)
	return result, true, err
}

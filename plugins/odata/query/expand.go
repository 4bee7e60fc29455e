package query

import (
	"slices"
	"strconv"
	"strings"
)

// nestedOptions are the options of expanded entities in the user's own $expand that the connector passes on as they
// are, $filter and $orderby, by the path of the navigation property.
type nestedOptions map[string][]string

// parse reads the value of $expand, `Items($select=A,B;$orderby=A;$expand=Parts),Customer`. Navigation properties and
// selected properties become settings. path is the path of the entities around it, empty or with a slash at its end.
func (n nestedOptions) parse(settings *Settings, list, path string) error {
	reject := func(reason string) error { return invalid(settings.Prefix+Raw, settings.Raw, reason) }
	if strings.Count(path, "/") >= maxSteps {
		return reject("expected at most " + strconv.Itoa(maxSteps) +
			" navigation properties inside of each other in $expand, found more")
	}
	for _, item := range splitOutside(list, ',') {
		name, options, hasOptions := strings.Cut(item, "(")
		name = path + strings.TrimSpace(name)
		settings.Expand = append(settings.Expand, name)
		if !hasOptions {
			continue
		}
		options, ok := strings.CutSuffix(strings.TrimSpace(options), ")")
		if !ok {
			return reject("expected a closing parenthesis in $expand after the options of " + name)
		}
		for _, option := range splitOutside(options, ';') {
			optionName, value, _ := strings.Cut(option, "=")
			switch optionName = strings.ToLower(strings.TrimSpace(optionName)); optionName {
			case "$select":
				for _, property := range splitOutside(value, ',') {
					settings.Select = append(settings.Select, name+"/"+property)
				}
			case "$expand":
				if err := n.parse(settings, value, name+"/"); err != nil {
					return err
				}
			case "$filter", "$orderby":
				n[name] = append(n[name], optionName+"="+value)
			default:
				return reject("expected $select, $filter, $orderby or $expand for the entities of " + name +
					", found " + optionName + ", which might leave out some of them")
			}
		}
	}
	return nil
}

// splitOutside splits a list at separators outside of parentheses and quotes, and trims its items.
func splitOutside(list string, separator byte) (items []string) {
	depth := 0
	start := 0
	isQuoted := false
	for i := 0; i <= len(list); i++ {
		switch {
		case i == len(list) || (list[i] == separator && depth == 0 && !isQuoted):
			if item := strings.TrimSpace(list[start:i]); item != "" {
				items = append(items, item)
			}
			start = i + 1
		case list[i] == '\'':
			isQuoted = !isQuoted
		case isQuoted:
			// A parenthesis in a text is no parenthesis.
		case list[i] == '(':
			depth++
		case list[i] == ')':
			depth--
		}
	}
	return items
}

// ownSelection lists the properties of this level for $select. It returns nil if all are read.
func (l *level) ownSelection() (names []string) {
	if !l.isProjected {
		return nil
	}
	for i := range l.structure.Properties {
		if name := l.structure.Properties[i].Name; l.isInRows(name) || slices.Contains(l.hidden, name) {
			names = append(names, name)
		}
	}
	return names
}

// expandTree returns $expand with the options of expanded entities in parentheses. steps is the path of the level.
func (l *level) expandTree(query *Query, nested nestedOptions, steps []string) string {
	var items []string
	for _, e := range l.expanded {
		path := append(steps[:len(steps):len(steps)], e.navigation.Name)
		options := slices.Clone(nested[strings.Join(path, "/")])
		if names := e.level.ownSelection(); len(names) > 0 {
			options = append(options, "$select="+strings.Join(names, ","))
		}
		var conditions []string
		for _, c := range query.expandedConditions {
			if slices.Equal(c.itemPath, path) {
				conditions = append(conditions, c.expression(strings.Join(c.path, "/")))
			}
		}
		options = withFilter(options, strings.Join(conditions, " and "))
		if inner := e.level.expandTree(query, nested, path); inner != "" {
			options = append(options, "$expand="+inner)
		}
		item := e.navigation.Name
		if len(options) > 0 {
			item += "(" + strings.Join(options, ";") + ")"
		}
		items = append(items, item)
	}
	return strings.Join(items, ",")
}

// withFilter adds a condition to the $filter in options, or adds the option.
func withFilter(options []string, condition string) []string {
	if condition == "" {
		return options
	}
	for i, option := range options {
		if filter, ok := strings.CutPrefix(option, "$filter="); ok {
			options[i] = "$filter=(" + filter + ") and " + condition
			return options
		}
	}
	return append(options, "$filter="+condition)
}

package check_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check/checktest"
)

// REST's validation contains the settings of every connector, the settings that the plugin declares, and the errors at
// their settings, but no password.
func TestValidate(t *testing.T) {
	b := checktest.WithSpy(t)
	connector := b.Connector(t, "name=v", "connector.class=test.SpySource", "spy.address=h", "tasks.max=0",
		"spy.password=geheim", "spy.adress=x", "transforms=a", "transforms.a.type=no.such.Thing")
	validation, err := b.Checker.Validate(t.Context(), connector)
	require.NoError(t, err)
	data, err := json.Marshal(validation)
	require.NoError(t, err)
	errors := map[string][]string{}
	allowed := map[string][]string{}
	errorCount := 0
	for _, s := range validation.Configs {
		allowed[s.Value.Name] = s.Value.AllowedValues
		d := s.Definition
		assert.True(t, d.Name == s.Value.Name && d.Order == d.OrderInGroup && d.Type != "",
			"expected a definition with a type that agrees with its value, found %+v", s)
		errorCount += len(s.Value.Errors)
		if len(s.Value.Errors) > 0 {
			errors[s.Value.Name] = s.Value.Errors
		}
	}
	const tasksMaxError = "Invalid value 0 for configuration tasks.max: Value must be at least 1"
	assert.True(t, errorCount == validation.ErrorCount && strings.Join(errors["tasks.max"], "") == tasksMaxError &&
		len(errors["spy.adress"]) != 0 && len(errors["transforms.a.type"]) != 0,
		"expected errors of tasks.max, spy.adress and transforms.a.type, found %d errors, %v", validation.ErrorCount,
		errors)
	assert.Equal(t, []string{"none", "all"}, allowed["errors.tolerance"])
	assert.Equal(t, nil, allowed["tasks.max"])
	if groups := strings.Join(validation.Groups, ","); !strings.HasPrefix(groups,
		"Common,Transforms,Predicates,Error Handling,Topic Creation,Exactly Once Support,offsets.topic,Transforms: a") {
		t.Errorf("expected the groups of Kafka Connect and of the transform, found %s", groups)
	}
	assert.True(t, !strings.Contains(string(data), "geheim"), "expected no password, found one in %s", data)

	// The first setting is the required name.
	validation, err = b.Checker.Validate(t.Context(), b.Connector(t, "connector.class=test.SpySource"))
	require.NoError(t, err)
	if first := validation.Configs[0]; first.Value.Name != "name" || !first.Definition.Required {
		t.Errorf("expected the required setting name first, found %+v", first)
	}

	_, err = b.Checker.Validate(t.Context(), b.Connector(t, "connector.class=NotThere"))
	assert.True(t, err != nil, "expected an error about the unknown class, found none")
}

// A converter that a connector names contributes its declared settings, under their names in the connector.
func TestValidateConverters(t *testing.T) {
	b := checktest.WithSpy(t)
	withConverters, err := b.Checker.Validate(t.Context(), b.Connector(t, "name=v", "connector.class=test.SpySource",
		"key.converter=AvroConverter", "key.converter.basic.auth.user.info=u:geheim",
		"value.converter=JsonConverter", "value.converter.decimal.format=x", "value.converter.schemas.enable=false",
		"header.converter=StringConverter"))
	require.NoError(t, err)

	// Without converters of its own, a connector has their versions. The worker's version is the recommended one.
	b.Checker.Version = "4.3.1-own"
	validation, err := b.Checker.Validate(t.Context(), b.Connector(t, "name=v", "connector.class=test.SpySource"))
	require.NoError(t, err)
	versions := 0
	for _, s := range validation.Configs {
		if strings.HasSuffix(s.Value.Name, ".converter.plugin.version") {
			versions++
			assert.True(t, s.Value.Value != nil && *s.Value.Value == "4.3.1-own" &&
				strings.Join(s.Value.RecommendedValues, " ") == "4.3.1-own",
				"expected the version of a converter, found %+v", s.Value)
		}
	}
	assert.Equal(t, 3, versions, "versions of three converters")

	values := map[string]string{} // "VALUE ERRORS" with - for no value, by the name of a setting
	for _, s := range withConverters.Configs {
		value := "-"
		if s.Value.Value != nil {
			value = *s.Value.Value
		}
		values[s.Value.Name] = strings.Join(append([]string{value}, s.Value.Errors...), " ")
	}
	for name, want := range map[string]string{
		"key.converter.basic.auth.user.info": "[hidden]",
		"key.converter.schema.registry.url": `- key.converter.schema.registry.url: Missing required configuration ` +
			`"schema.registry.url" which has no default value.`,
		"header.converter.converter.type":     "header",
		"header.converter.converter.encoding": "UTF-8",
		"key.converter.converter.type":        "key",
		"value.converter.converter.type":      "value",
		"value.converter.schemas.cache.size":  "1000",
		"value.converter.schemas.enable":      "false",
		"value.converter.schema.content":      "-",
		"value.converter.decimal.format": "x value.converter.decimal.format: Invalid value x for configuration " +
			"decimal.format: String must be one of: BASE64, NUMERIC",
		"value.converter.replace.null.with.default": "true",
	} {
		assert.Equal(t, want, values[name], name)
	}
	if groups := strings.Join(withConverters.Groups, ","); !strings.Contains(groups, "Schemas,Serialization") {
		t.Errorf("expected the groups Schemas and Serialization, found %s", groups)
	}
}

// The validation of too many transforms reports their number and omits their settings. A validation ends with its
// context.
func TestValidationOfManyTransformsIsBounded(t *testing.T) {
	b := checktest.WithSpy(t)
	lines := func(count int) []string {
		aliases := make([]string, count)
		lines := []string{"name=v", "connector.class=test.SpySource", "spy.address=h"}
		for i := range aliases {
			aliases[i] = fmt.Sprintf("t%d", i)
			lines = append(lines, "transforms."+aliases[i]+".type=no.such.Thing")
		}
		return append(lines, "transforms="+strings.Join(aliases, ","))
	}
	validation, err := b.Checker.Validate(t.Context(), b.Connector(t, lines(3_000)...))
	require.NoError(t, err)
	boundErrors := 0
	for _, s := range validation.Configs {
		if s.Value.Name == "transforms" && strings.Contains(strings.Join(s.Value.Errors, ""), "at most 200 transforms") {
			boundErrors++
		}
		require.True(t, s.Definition.Group == nil || !strings.HasPrefix(*s.Definition.Group, "Transforms: "),
			"expected no settings of transforms, found %s", s.Value.Name)
	}
	if boundErrors != 1 {
		t.Errorf("expected the bound at transforms, found %+v", validation.Configs[0])
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if validation, err := b.Checker.Validate(ctx, b.Connector(t, lines(200)...)); !errors.Is(err, context.Canceled) {
		t.Errorf("expected the end of the context, found %v and %d settings", err, len(validation.Configs))
	}
}

// A version range selects the declarations of a class as in Kafka Connect.
func TestDefinitionsOfVersions(t *testing.T) {
	b := checktest.WithSpy(t)
	const missing = "Plugin %s not found that matches the version range %s, available versions: [%s]"
	for _, c := range []struct{ class, version, want string }{
		{class: "SpySource", version: "[1.0,2.0)"},
		{class: "SpySource", version: "latest"},
		{class: "SpySource", version: "", want: fmt.Sprintf(missing, "test.SpySource", "[,]", "1.0.0")},
		{class: "SpySource", version: "9.9", want: fmt.Sprintf(missing, "test.SpySource", "[9.9,9.9]", "1.0.0")},
		{class: "SpySource", version: "(9", want: fmt.Sprintf(missing, "test.SpySource", "(9", "1.0.0")},
		{class: "SimpleHeaderConverter", version: "[4,5)"},
		{class: "SimpleHeaderConverter", version: "[5,)",
			want: fmt.Sprintf(missing, "SimpleHeaderConverter", "[5,)", "4.3.1")},
	} {
		definitions, err := b.Checker.Definitions(c.class, &c.version, "4.3.1")
		if c.want != "" {
			assert.Error(t, err, c.want)
			continue
		}
		assert.True(t, err == nil && definitions != nil, "%+v: found %v, %v", c, definitions, err)
	}
}

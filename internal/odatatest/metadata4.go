package odatatest

import (
	"fmt"
	"regexp"
	"strings"
)

// csdl writes a $metadata document of v4 (CSDL XML 4.0).
type csdl struct {
	strings.Builder
	x *exchange
	// outside are annotations that name their targets. Only SAP's services write them, others write them into targets.
	outside strings.Builder
}

func (c *csdl) printf(format string, arguments ...any) { fmt.Fprintf(&c.Builder, format, arguments...) }

const vocabularyReferences = `<edmx:Reference Uri="https://oasis-tcs.github.io/odata-vocabularies/vocabularies/` +
	`Org.OData.Core.V1.xml"><edmx:Include Namespace="Org.OData.Core.V1" Alias="Core"/></edmx:Reference>` + "\n" +
	`<edmx:Reference Uri="https://oasis-tcs.github.io/odata-vocabularies/vocabularies/Org.OData.Capabilities.V1.xml">` +
	`<edmx:Include Namespace="Org.OData.Capabilities.V1" Alias="Capabilities"/></edmx:Reference>` + "\n"

// tagStart is the start of a tag of CSDL, whose name has no prefix.
var tagStart = regexp.MustCompile(`<(/?)([A-Z])`)

// serveMetadata4 answers with the $metadata document.
func serveMetadata4(ex *exchange) *fault {
	c := &csdl{x: ex}
	m := ex.mount
	c.printf(`<?xml version="1.0" encoding="utf-8"?>` + "\n" +
		`<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">` + "\n" +
		vocabularyReferences + "<edmx:DataServices>\n")
	c.beginSchema(m.namespace)
	for _, t := range ex.model().tables {
		c.writeEntityType(t)
	}
	for _, complex := range ex.model().complexTypes {
		c.printf("<ComplexType Name=\"%s\">\n", complex.name)
		for i := range complex.properties {
			c.writeProperty(complex.name, &complex.properties[i])
		}
		c.printf("</ComplexType>\n")
	}
	if !m.sap { // Microsoft's Northwind keeps types and container apart
		c.printf("</Schema>\n")
		c.beginSchema("ODataWebV4.Northwind.Model")
	}
	c.writeContainer()
	c.printf("%s</Schema>\n</edmx:DataServices>\n</edmx:Edmx>\n", c.outside.String())
	document := c.String()
	if ex.sw.Prefixes {
		document = tagStart.ReplaceAllString(document, "<${1}edm:$2")
		document = strings.ReplaceAll(document, " xmlns=", " xmlns:edm=")
		document = strings.NewReplacer("edmx:", "x:", ":edmx=", ":x=").Replace(document)
	}
	ex.sendText("application/xml;charset=utf-8", []byte(document))
	return nil
}

func (c *csdl) beginSchema(namespace string) {
	alias := ""
	if c.x.mount.sap {
		alias = ` Alias="SAP__self"`
	}
	c.printf("<Schema Namespace=\"%s\"%s xmlns=\"http://docs.oasis-open.org/odata/ns/edm\">\n", namespace, alias)
}

// annotate writes annotations into the element that was begun last, or next to it with the name of the element.
func (c *csdl) annotate(target, annotations string) {
	if annotations == "" {
		return
	}
	if !c.x.mount.sap {
		c.WriteString(annotations)
		return
	}
	fmt.Fprintf(&c.outside, "<Annotations Target=\"SAP__self.%s\">%s</Annotations>\n", target, annotations)
}

func (c *csdl) writeEntityType(t *table) {
	c.printf("<EntityType Name=\"%s\">\n<Key>\n", t.typ.name)
	for i := range t.typ.keys {
		c.printf("<PropertyRef Name=\"%s\"/>\n", t.typ.properties[i].name)
	}
	c.printf("</Key>\n")
	for i := range t.typ.properties {
		c.writeProperty(t.typ.name, &t.typ.properties[i])
	}
	for _, n := range t.typ.navigations {
		target := c.x.mount.namespace + "." + n.target.typ.name
		switch {
		case n.many:
			c.printf("<NavigationProperty Name=\"%s\" Type=\"Collection(%s)\"/>\n", n.name, target)
		default:
			c.printf("<NavigationProperty Name=\"%s\" Type=\"%s\" Nullable=\"%t\"/>\n", n.name, target,
				n.association.optional)
		}
	}
	c.printf("</EntityType>\n")
}

func (c *csdl) writeProperty(owner string, p *property) {
	name := p.kind.String()
	facets := ""
	switch p.kind {
	case complexKind:
		name = c.x.mount.namespace + "." + p.complex.name
	case timeKind:
		name = "Edm.TimeOfDay"
		facets = ` Precision="7"`
	case dateTimeKind, dateTimeOffsetKind:
		name = "Edm.DateTimeOffset"
		facets = ` Precision="7"`
		if p.day {
			name = "Edm.Date"
			facets = ""
		}
	case decimalKind:
		facets = fmt.Sprintf(` Precision="%d" Scale="%d"`, p.precision, p.scale)
	}
	if p.maxLength > 0 {
		facets = fmt.Sprintf(` MaxLength="%d"`, p.maxLength)
	}
	c.printf(`<Property Name="%s" Type="%s" Nullable="%t"%s>`, p.name, name, p.nullable, facets)
	switch {
	case p.version:
		c.annotate(owner+"/"+p.name, `<Annotation Term="Core.Computed" Bool="true"/>`)
	case p.identity:
		c.annotate(owner+"/"+p.name, `<Annotation Term="Core.ComputedDefaultValue" Bool="true"/>`)
	}
	c.printf("</Property>\n")
}

func (c *csdl) writeContainer() {
	m := c.x.mount
	c.printf("<EntityContainer Name=\"%s\">\n", m.container)
	for _, t := range c.x.model().tables {
		c.printf("<EntitySet Name=\"%s\" EntityType=\"%s.%s\">\n", t.name, m.namespace, t.typ.name)
		for _, n := range t.typ.navigations {
			c.printf("<NavigationPropertyBinding Path=\"%s\" Target=\"%s\"/>\n", n.name, n.target.name)
		}
		c.annotate(m.container+"/"+t.name, c.x.capabilities(t))
		c.printf("</EntitySet>\n")
	}
	c.printf("</EntityContainer>\n")
}

// capabilities returns the annotations of a set.
func (ex *exchange) capabilities(t *table) string {
	restriction := func(term, property string, isSupported bool) string {
		return fmt.Sprintf(`<Annotation Term="Capabilities.%s"><Record><PropertyValue Property="%s" Bool="%t"/>`+
			`</Record></Annotation>`, term, property, isSupported)
	}
	annotations := ""
	if ex.sw.Delta == "" || ex.sw.Delta == "silent" {
		annotations += restriction("ChangeTracking", "Supported", true)
	}
	if ex.sw.RefuseCount {
		annotations += restriction("CountRestrictions", "Countable", false)
	}
	if i := t.typ.versionProperty(); i >= 0 {
		annotations += `<Annotation Term="Core.OptimisticConcurrency"><Collection><PropertyPath>` +
			t.typ.properties[i].name + `</PropertyPath></Collection></Annotation>`
	}
	return annotations
}

package odatatest

import (
	"fmt"
	"strings"
)

// metadata answers with the $metadata document.
func (ex *exchange) metadata() *fault {
	d := &edmx{x: ex}
	if ex.sw.Prefixes {
		d.edmx = "x"
		d.m = "meta"
		d.edm = "edm:"
	} else {
		d.edmx = "edmx"
		d.m = "m"
	}
	d.document()
	ex.text("application/xml;charset=utf-8", []byte(d.String()))
	return nil
}

// edmx writes an EDMX document.
type edmx struct {
	strings.Builder
	x *exchange
	// Prefixes of the namespaces. edm includes the colon.
	edmx string
	m    string
	edm  string
}

func (e *edmx) f(format string, arguments ...any) { fmt.Fprintf(&e.Builder, format, arguments...) }

func (e *edmx) document() {
	mount := e.x.mount
	model := e.x.model()
	e.f(`<?xml version="1.0" encoding="utf-8"?>`+"\n"+
		`<%s:Edmx Version="1.0" xmlns:%s="http://schemas.microsoft.com/ado/2007/06/edmx" xmlns:%s="%s"`, e.edmx, e.edmx,
		e.m, nsM)
	if mount.sap {
		e.f(` xmlns:sap="http://www.sap.com/Protocols/SAPData"`)
	}
	e.f(">\n<%s:DataServices %s:DataServiceVersion=\"2.0\">\n", e.edmx, e.m)
	e.schema(mount.namespace)
	for _, t := range model.tables {
		e.entityType(t)
	}
	for _, c := range model.complexTypes {
		e.f("<%sComplexType Name=\"%s\">\n", e.edm, c.name)
		for i := range c.properties {
			e.property(&c.properties[i])
		}
		e.f("</%sComplexType>\n", e.edm)
	}
	for _, a := range model.associations {
		e.association(a)
	}
	if mount.odp {
		e.odpTypes()
	}
	if !mount.sap { // Microsoft's Northwind keeps types and container apart
		e.f("</%sSchema>\n", e.edm)
		e.schema("ODataWeb.Northwind.Model")
	}
	e.container()
	e.f("</%sSchema>\n</%s:DataServices>\n</%s:Edmx>\n", e.edm, e.edmx, e.edmx)
}

func (e *edmx) schema(namespace string) {
	const edm2008 = "http://schemas.microsoft.com/ado/2008/09/edm"
	if e.edm == "" {
		e.f(`<Schema Namespace="%s" xmlns="%s"`, namespace, edm2008)
	} else {
		e.f(`<edm:Schema Namespace="%s" xmlns:edm="%s"`, namespace, edm2008)
	}
	if e.x.mount.sap {
		e.f(` sap:schema-version="1"`)
	}
	e.f(">\n")
}

func (e *edmx) entityType(t *table) {
	typ := t.typ
	e.f("<%sEntityType Name=\"%s\">\n<%sKey>\n", e.edm, typ.name, e.edm)
	for i := range typ.keys {
		e.f("<%sPropertyRef Name=\"%s\"/>\n", e.edm, typ.properties[i].name)
	}
	e.f("</%sKey>\n", e.edm)
	for i := range typ.properties {
		e.property(&typ.properties[i])
	}
	for _, n := range typ.navigations {
		from := n.join.dependent.name
		to := n.join.principal.name
		if n.many {
			from, to = to, from
		}
		e.f("<%sNavigationProperty Name=\"%s\" Relationship=\"%s.%s\" FromRole=\"%s\" ToRole=\"%s\"/>\n", e.edm, n.name,
			e.x.mount.namespace, n.join.name, from, to)
	}
	e.f("</%sEntityType>\n", e.edm)
}

func (e *edmx) property(p *property) {
	name := p.kind.String()
	if p.complex != nil {
		name = e.x.mount.namespace + "." + p.complex.name
	}
	e.f(`<%sProperty Name="%s" Type="%s" Nullable="%t"`, e.edm, p.name, name, p.nullable)
	switch {
	case p.maxLength > 0:
		e.f(` MaxLength="%d"`, p.maxLength)
	case p.maxLength < 0:
		e.f(` MaxLength="Max"`)
	}
	switch p.kind {
	case decimalKind:
		e.f(` Precision="%d" Scale="%d"`, p.precision, p.scale)
	case dateTimeKind:
		if e.x.mount.sap {
			e.f(` Precision="7"`)
		}
	case stringKind:
		if !e.x.mount.sap {
			e.f(` Unicode="true" FixedLength="false"`)
		}
	}
	if p.version {
		e.f(` ConcurrencyMode="Fixed"`)
	}
	if p.identity && !e.x.mount.sap {
		e.f(` p8:StoreGeneratedPattern="Identity" xmlns:p8="http://schemas.microsoft.com/ado/2009/02/edm/annotation"`)
	}
	if e.x.mount.sap {
		e.f(` sap:label="%s"%s`, p.name, p.sap)
	}
	e.f("/>\n")
}

func (e *edmx) association(a *association) {
	namespace := e.x.mount.namespace
	multiplicity := "1"
	if a.optional {
		multiplicity = "0..1"
	}
	e.f("<%sAssociation Name=\"%s\">\n", e.edm, a.name)
	e.f("<%sEnd Role=\"%s\" Type=\"%s.%s\" Multiplicity=\"%s\"/>\n", e.edm, a.principal.name, namespace,
		a.principal.typ.name, multiplicity)
	e.f("<%sEnd Role=\"%s\" Type=\"%s.%s\" Multiplicity=\"*\"/>\n", e.edm, a.dependent.name, namespace,
		a.dependent.typ.name)
	e.f("<%sReferentialConstraint><%sPrincipal Role=\"%s\">", e.edm, e.edm, a.principal.name)
	for i := range a.foreign {
		e.f("<%sPropertyRef Name=\"%s\"/>", e.edm, a.principal.typ.properties[i].name)
	}
	e.f("</%sPrincipal><%sDependent Role=\"%s\">", e.edm, e.edm, a.dependent.name)
	for _, i := range a.foreign {
		e.f("<%sPropertyRef Name=\"%s\"/>", e.edm, a.dependent.typ.properties[i].name)
	}
	e.f("</%sDependent></%sReferentialConstraint>\n</%sAssociation>\n", e.edm, e.edm, e.edm)
}

func (e *edmx) container() {
	mount := e.x.mount
	model := e.x.model()
	e.f(`<%sEntityContainer Name="%s" %s:IsDefaultEntityContainer="true"`, e.edm, mount.container, e.m)
	if mount.sap {
		e.f(` sap:supported-formats="atom json"`)
	}
	e.f(">\n")
	for _, t := range model.tables {
		e.f(`<%sEntitySet Name="%s" EntityType="%s.%s"`, e.edm, t.name, mount.namespace, t.typ.name)
		if mount.sap {
			e.f(` sap:content-version="1"`)
			if e.x.sw.Delta == "" || e.x.sw.Delta == "silent" {
				e.f(` sap:change-tracking="true"`)
			}
			if e.x.sw.RefuseCount {
				e.f(` sap:countable="false"`)
			}
		}
		e.f("/>\n")
	}
	for _, a := range model.associations {
		e.f("<%sAssociationSet Name=\"%s\" Association=\"%s.%s\"><%sEnd Role=\"%s\" EntitySet=\"%s\"/><%sEnd "+
			"Role=\"%s\" EntitySet=\"%s\"/></%sAssociationSet>\n", e.edm, a.name, mount.namespace, a.name, e.edm,
			a.principal.name, a.principal.name, e.edm, a.dependent.name, a.dependent.name, e.edm)
	}
	if mount.odp {
		e.odpFunctions()
	}
	e.f("</%sEntityContainer>\n", e.edm)
}

// serviceDocument lists the entity sets.
func (ex *exchange) serviceDocument() *fault {
	tables := ex.model().tables
	if ex.json {
		b := []byte(`{"d":{"EntitySets":[`)
		for i, t := range tables {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSONText(b, []byte(t.name))
		}
		ex.text("application/json;charset=utf-8", append(b, "]}}"...))
		return nil
	}
	p := ""
	declarations := ` xmlns="http://www.w3.org/2007/app" xmlns:atom="` + nsAtom + `"`
	if ex.sw.Prefixes {
		p = "app:"
		declarations = ` xmlns:app="http://www.w3.org/2007/app" xmlns:atom="` + nsAtom + `"`
	}
	b := fmt.Appendf(nil,
		`<?xml version="1.0" encoding="utf-8"?><%sservice xml:base="%s"%s><%sworkspace><atom:title>Default</atom:title>`, p, ex.base, declarations, p)
	for _, t := range tables {
		b = fmt.Appendf(b, `<%scollection href="%s"><atom:title>%s</atom:title></%scollection>`, p, t.name, t.name, p)
	}
	b = fmt.Appendf(b, `</%sworkspace></%sservice>`, p, p)
	contentType := "application/xml;charset=utf-8"
	if ex.mount.sap {
		contentType = "application/atomsvc+xml"
	}
	ex.text(contentType, b)
	return nil
}

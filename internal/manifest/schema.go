package manifest

import (
	"context"
	"fmt"
	"io/fs"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/config/crd"
)

// schema judges objects of one kind as the API server does.
type schema struct {
	structural *structuralschema.Structural
	openapi    validation.SchemaValidator
	rules      *cel.Validator
}

// kept are the schemas from one reading to the next: compiling the rules takes
// a while.
var kept struct {
	sync.Mutex
	schemas map[string]*schema
}

func schemas() (map[string]*schema, error) {
	kept.Lock()
	defer kept.Unlock()
	if kept.schemas == nil {
		all, err := buildAll(crd.Files)
		if err != nil {
			return nil, err
		}
		kept.schemas = all
	}
	return kept.schemas, nil
}

// Forget drops what [Read] keeps between two calls, some MB that a process which
// reads no more manifests would carry through every collection of garbage. The
// next Read makes it again.
func Forget() {
	kept.Lock()
	defer kept.Unlock()
	kept.schemas = nil
}

func buildAll(files fs.FS) (map[string]*schema, error) {
	paths, err := fs.Glob(files, "bases/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing definitions: %w", err)
	}
	all := map[string]*schema{}
	for _, path := range paths {
		text, err := fs.ReadFile(files, path)
		if err != nil {
			return nil, fmt.Errorf("reading definition: %w", err)
		}
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &definition); err != nil {
			return nil, fmt.Errorf("reading definition %s: %w", path, err)
		}
		if all[definition.Spec.Names.Kind], err = build(&definition); err != nil {
			return nil, fmt.Errorf("compiling definition %s: %w", path, err)
		}
	}
	return all, nil
}

// build compiles the only version of a definition.
func build(definition *apiextensionsv1.CustomResourceDefinition) (*schema, error) {
	if n := len(definition.Spec.Versions); n != 1 {
		return nil, fmt.Errorf("it has %d versions, not one", n)
	}
	var props apiextensions.JSONSchemaProps
	from := definition.Spec.Versions[0].Schema.OpenAPIV3Schema
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(from, &props, nil); err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(&props)
	if err != nil {
		return nil, err
	}
	openapi, _, err := validation.NewSchemaValidator(&props)
	if err != nil {
		return nil, err
	}
	rules := cel.NewValidator(structural, true, celconfig.PerCallLimit)
	if rules == nil {
		return nil, fmt.Errorf("it has no rules")
	}
	return &schema{structural, openapi, rules}, nil
}

// admit writes defaults into object and returns what the API server would have
// against it. Rules are evaluated only on what has the right shape.
func (s *schema) admit(ctx context.Context, object map[string]any) field.ErrorList {
	defaulting.Default(object, s.structural)
	complaints := validation.ValidateCustomResource(nil, object, s.openapi)
	complaints = append(complaints, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
	if len(complaints) > 0 {
		return complaints
	}
	complaints, _ = s.rules.Validate(ctx, nil, s.structural, object, nil, celconfig.RuntimeCELCostBudget)
	return complaints
}

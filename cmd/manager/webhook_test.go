package main

import (
	"io"
	"os"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// TestGraceIsLongEnough holds that a kubelet does not end a replica of the
// webhook that is still serving.
func TestGraceIsLongEnough(t *testing.T) {
	text, err := os.ReadFile("../../config/webhook/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d appsv1.Deployment
	if err := yaml.UnmarshalStrict(text, &d); err != nil {
		t.Fatal(err)
	}
	grace := d.Spec.Template.Spec.TerminationGracePeriodSeconds
	if grace == nil || time.Duration(*grace)*time.Second < drain+endUnderWay+5*time.Second {
		t.Errorf("terminationGracePeriodSeconds is %v, and it takes up to %v", grace, drain+endUnderWay)
	}
}

// TestTunnelIsOff holds that both roles know the setting, and have it off.
func TestTunnelIsOff(t *testing.T) {
	for _, role := range []string{"controller", "webhook"} {
		c, _, err := command(io.Discard).Find([]string{role})
		if err != nil {
			t.Fatal(err)
		}
		if f := c.Flags().Lookup("tunnel"); f == nil || f.DefValue != "false" {
			t.Errorf("%s: got %+v", role, f)
		}
	}
}

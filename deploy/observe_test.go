package deploy_test

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestObservingIsAChoice(t *testing.T) {
	t.Parallel()
	s, err := load(t, composeFile(t))
	require.NoError(t, err)
	plain, err := s.WithProfiles(nil)
	require.NoError(t, err)
	for name, svc := range s.Services {
		observing := slices.Contains([]string{"prometheus", "grafana", "jaeger"}, name)
		_, runs := plain.Services[name]
		require.NotEqual(t, observing, runs, name)
		for dep := range svc.DependsOn {
			require.True(t, observing || plain.Services[dep].Name != "", "%s would not start without %s", name, dep)
		}
	}
}

// scrapeConfig has the targets of deploy/prometheus/prometheus.yml.
type scrapeConfig struct {
	Jobs []struct {
		Name   string `yaml:"job_name"`
		Static []struct {
			Targets []string
		} `yaml:"static_configs"`
		DNS []struct {
			Names []string
			Port  int
		} `yaml:"dns_sd_configs"`
	} `yaml:"scrape_configs"`
}

// targets are host:port by job.
func (s scrapeConfig) targets() map[string][]string {
	all := map[string][]string{}
	for _, j := range s.Jobs {
		for _, c := range j.Static {
			all[j.Name] = append(all[j.Name], c.Targets...)
		}
		for _, c := range j.DNS {
			for _, n := range c.Names {
				all[j.Name] = append(all[j.Name], fmt.Sprint(n, ":", c.Port))
			}
		}
	}
	return all
}

func TestPrometheusScrapesEveryProcess(t *testing.T) {
	t.Parallel()
	s, err := load(t, composeFile(t))
	require.NoError(t, err)
	want := map[string][]string{}
	for name, svc := range s.Services {
		if !ours(svc) || job(svc) {
			continue
		}
		cfg, err := s.settingsOf(svc)
		require.NoError(t, err)
		_, port, err := net.SplitHostPort(cfg.AdminListen)
		require.NoError(t, err)
		role := "seckill-" + svc.Command[0]
		want[role] = append(want[role], net.JoinHostPort(name, port))
		require.True(t, s.shareNetwork(s.Services["prometheus"], svc), name)
	}
	var file scrapeConfig
	readYAML(t, "prometheus/prometheus.yml", &file)
	got := file.targets()
	require.Len(t, got, len(want))
	for role, targets := range want {
		require.ElementsMatch(t, targets, got[role])
	}
}

// reaches fails unless from can connect to where the address points.
func (s system) reaches(t *testing.T, from, address string) {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	to, ok := s.Services[u.Hostname()]
	require.True(t, ok, "%s is no service", address)
	require.True(t, s.shareNetwork(s.Services[from], to), "%s is on another network than %s", address, from)
	ports := slices.Clone(to.Expose)
	for _, p := range to.Ports {
		ports = append(ports, strconv.FormatUint(uint64(p.Target), 10))
	}
	require.Contains(t, ports, u.Port(), address)
}

func TestGrafanaAndTheProgramReachWhatIsObserved(t *testing.T) {
	t.Parallel()
	s, err := load(t, composeFile(t))
	require.NoError(t, err)
	var sources struct {
		Datasources []struct {
			Type, UID, URL string
			JSON           struct {
				Exemplars []struct {
					To string `yaml:"datasourceUid"`
				} `yaml:"exemplarTraceIdDestinations"`
			} `yaml:"jsonData"`
		}
	}
	readYAML(t, "grafana/provisioning/datasources/seckill.yml", &sources)
	require.Len(t, sources.Datasources, 2)
	for _, d := range sources.Datasources {
		require.Contains(t, []string{"prometheus", "jaeger"}, d.Type)
		require.Equal(t, d.Type, d.UID)
		s.reaches(t, "grafana", d.URL)
		for _, e := range d.JSON.Exemplars {
			require.Equal(t, "jaeger", e.To)
		}
	}
	_, said, _ := strings.Cut(composeFile(t), "SECKILL_TRACE_ENDPOINT=")
	endpoint, _, _ := strings.Cut(said, " ")
	for _, from := range []string{"api-1", "api-2", "consumer"} {
		s.reaches(t, from, endpoint)
	}
	var providers struct {
		Providers []struct {
			Options struct{ Path string }
		}
	}
	readYAML(t, "grafana/provisioning/dashboards/seckill.yml", &providers)
	require.Len(t, providers.Providers, 1)
	mounts := []string{}
	for _, v := range s.Services["grafana"].Volumes {
		mounts = append(mounts, v.Target)
	}
	require.Contains(t, mounts, providers.Providers[0].Options.Path)
	require.True(t, strings.HasPrefix(*s.Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"], providers.Providers[0].Options.Path+"/sale-night.json"))
}

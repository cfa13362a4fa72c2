use std::env::var;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider, Certificate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (url, key) = (var("BASE_URL")?, var("API_KEY")?);
    let pem = std::fs::read(var("SSL_CERT_FILE")?)?;
    let roots = RootCerts::new_with_certs(&[Certificate::from_pem(&pem)?]);
    let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(roots).build();
    // The proxy is that of the environment.
    let agent = ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false).build().new_agent();
    let bearer = |key: &str| format!("Bearer {key}");
    let hello = agent.get(&url).header("Authorization", bearer(&key)).call()?.body_mut().read_to_string()?;
    let refused = agent.get(&url).header("Authorization", bearer("own")).call()?.status().as_u16();
    let uploaded = agent.post(format!("{url}/upload")).header("Authorization", bearer(&key)).send("uploaded")?.body_mut().read_to_string()?;
    println!("{hello} {refused} {uploaded}");
    Ok(())
}

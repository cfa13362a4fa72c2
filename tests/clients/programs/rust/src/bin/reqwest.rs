use reqwest::blocking::{Body, Client};
use std::env::var;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (url, key) = (var("BASE_URL")?, var("API_KEY")?);
    let client = Client::new();
    let hello = client.get(&url).bearer_auth(&key).send()?.text()?;
    let refused = client.get(&url).bearer_auth("own").send()?.status().as_u16();
    let body = Body::new(std::io::Cursor::new("uploaded"));
    let uploaded = client.post(format!("{url}/upload")).bearer_auth(&key).body(body).send()?.text()?;
    println!("{hello} {refused} {uploaded}");
    Ok(())
}
